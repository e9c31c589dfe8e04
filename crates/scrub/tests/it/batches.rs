//! What happens to fields, to the original, and to everything that must stay.

use moneta_event::Value::{Json, Long, Real, Text};
use moneta_scrub::TokenKind;

use crate::support::{all_text, batch, cell, scrub, scrubber};

fn token(kind: TokenKind, value: &str) -> String {
    scrubber().tokens_of(kind, value).remove(0)
}

#[test]
fn named_fields_become_tokens_and_are_found_in_the_original() {
    let raw = r#"{"upn":"Alice@Contoso.com","who":"Alice Example","note":"Alice Example signed in","ip":"10.0.0.1"}"#;
    let (scrubbed, report) = scrub(
        "SigninLogs",
        &[&[
            ("UserPrincipalName", Text("Alice@Contoso.com")),
            ("UserDisplayName", Text("Alice Example")),
            ("IPAddress", Text("10.0.0.1")),
            ("_Raw", Text(raw)),
        ]],
    );
    let (email, name) = (token(TokenKind::Email, "alice@contoso.com"), token(TokenKind::Name, "alice example"));
    assert_eq!(cell(scrubbed.rows(), "UserPrincipalName", 0), email);
    assert_eq!(cell(scrubbed.rows(), "UserDisplayName", 0), name);
    assert_eq!(cell(scrubbed.rows(), "IPAddress", 0), "10.0.0.1");
    let expected = format!(r#"{{"upn":"{email}","who":"{name}","note":"{name} signed in","ip":"10.0.0.1"}}"#);
    assert_eq!(cell(scrubbed.rows(), "_Raw", 0), expected);
    assert_eq!(report.counts.of(TokenKind::Name), 3);
    assert_eq!(scrubbed.token_key(), 1);
}

#[test]
fn the_same_person_has_the_same_token_in_every_table() {
    let (office, _) = scrub("OfficeActivity", &[&[("UserId", Text("ALICE@contoso.com"))]]);
    let (custom, _) = scrub("App_CL", &[&[("message", Text("login by alice@contoso.com"))]]);
    let expected = token(TokenKind::Email, "alice@contoso.com");
    assert_eq!(cell(office.rows(), "UserId", 0), expected);
    assert_eq!(cell(custom.rows(), "message", 0), format!("login by {expected}"));
}

#[test]
fn originals_in_xml_and_w3c_are_rewritten_like_the_fields() {
    let xml = "<Data Name=\"DisplayName\">Al O&apos;Neil</Data><Data>4155551234</Data>";
    let (scrubbed, _) = scrub("SecurityEvent", &[&[("DisplayName", Text("Al O'Neil")), ("_Raw", Text(xml))]]);
    let name = token(TokenKind::Name, "al o'neil");
    let expected = format!("<Data Name=\"DisplayName\">{name}</Data><Data>4155551234</Data>");
    assert_eq!(cell(scrubbed.rows(), "_Raw", 0), expected);

    let line = "2026-01-02 03:04:05 10.0.0.1 GET /x mail=bob%40contoso.com 443 CONTOSO\\bob 200";
    let (scrubbed, _) = scrub("W3CIISLog", &[&[("csUserName", Text("CONTOSO\\bob")), ("_Raw", Text(line))]]);
    let (user, email) = (token(TokenKind::User, "contoso\\bob"), token(TokenKind::Email, "bob@contoso.com"));
    let expected = format!("2026-01-02 03:04:05 10.0.0.1 GET /x mail={email} 443 {user} 200");
    assert_eq!(cell(scrubbed.rows(), "_Raw", 0), expected);
}

#[test]
fn machine_accounts_hosts_and_addresses_stay() {
    let fields: &[(&str, moneta_event::Value<'_>)] = &[
        ("TargetUserName", Text("alice")),
        ("SubjectUserName", Text("DC01$")),
        ("Computer", Text("dc01.contoso.local")),
        ("IpAddress", Text("192.168.1.17")),
        ("TargetUserSid", Text("S-1-5-21-3623811015-3361044348-30300820-1013")),
        ("_Raw", Text("<Event><Data>alice</Data></Event>")),
    ];
    let parsed = batch("SecurityEvent", &[fields]);
    let (scrubbed, report) = scrubber().scrub(parsed.clone());
    assert_eq!(scrubbed.rows(), &parsed.rows);
    assert_eq!(report.values_tokenised(), 0);
}

#[test]
fn a_card_in_a_number_column_moves_to_extra_and_the_original_stays_json() {
    let (scrubbed, _) = scrub(
        "Shop_CL",
        &[
            &[
                ("pan", Long(4_111_111_111_111_111)),
                ("n", Long(5)),
                ("_Raw", Text(r#"{"pan":4111111111111111,"n":5}"#)),
            ],
            &[("pan", Long(17)), ("price", Real(4_111_111_111_111_111.0))],
        ],
    );
    let card = token(TokenKind::Card, "4111111111111111");
    let rows = scrubbed.rows();
    assert_eq!(cell(rows, "_Extra", 0), format!(r#"{{"pan":"{card}"}}"#));
    assert_eq!(cell(rows, "_Raw", 0), format!(r#"{{"pan":"{card}","n":5}}"#));
    assert_eq!((cell(rows, "pan", 0).as_str(), cell(rows, "pan", 1).as_str()), ("", "17"));
    assert_eq!(cell(rows, "_Extra", 1), format!(r#"{{"price":"{card}"}}"#));
    assert!(rows.column_by_name("price").is_none());
}

#[test]
fn a_named_number_is_found_in_the_original_too() {
    let raw = "src=4155551234 dst=17";
    let (scrubbed, _) = scrub("CallDetailRecord_CL", &[&[("src", Long(4_155_551_234)), ("_Raw", Text(raw))]]);
    let phone = token(TokenKind::Phone, "4155551234");
    assert_eq!(cell(scrubbed.rows(), "_Raw", 0), format!("src={phone} dst=17"));
    assert_eq!(cell(scrubbed.rows(), "_Extra", 0), format!(r#"{{"src":"{phone}"}}"#));
}

#[test]
fn dynamic_columns_stay_json() {
    let (scrubbed, _) = scrub(
        "AuditLogs",
        &[&[
            ("InitiatedBy", Json(r#"{"user":{"userPrincipalName":"alice@contoso.com","displayName":"A"}}"#)),
            ("TargetResources", Json("[4111111111111111]")),
        ]],
    );
    for column in ["InitiatedBy", "TargetResources"] {
        let text = cell(scrubbed.rows(), column, 0);
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok() && text.contains("tk1_"), "{text}");
    }
}

#[test]
fn lists_in_named_fields_become_lists_of_tokens() {
    let (scrubbed, _) = scrub("OfficeActivity", &[&[("UserId", Text("a@b.com;c@d.com"))]]);
    let expected = format!("{};{}", token(TokenKind::Email, "a@b.com"), token(TokenKind::Email, "c@d.com"));
    assert_eq!(cell(scrubbed.rows(), "UserId", 0), expected);
}

#[test]
fn values_of_one_row_are_not_looked_for_in_another() {
    let (scrubbed, _) = scrub(
        "SigninLogs",
        &[
            &[("UserDisplayName", Text("Paris")), ("Location", Text("x")), ("_Raw", Text("Paris"))],
            &[("UserDisplayName", Text("Rome Person")), ("Location", Text("Paris")), ("_Raw", Text("in Paris"))],
        ],
    );
    assert_eq!(cell(scrubbed.rows(), "Location", 1), "Paris");
    assert_eq!(cell(scrubbed.rows(), "_Raw", 1), "in Paris");
    assert!(cell(scrubbed.rows(), "_Raw", 0).starts_with("tk1_name_"));
    assert!(!all_text(scrubbed.rows()).contains("Rome Person"));
}
