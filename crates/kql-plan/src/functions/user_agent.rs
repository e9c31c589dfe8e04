//! `parse_user_agent`: browser, operating system and device of a user-agent text.
//!
//! Rules are tried in order; the first whose mark occurs counts. The table follows what the programs say of
//! themselves: a browser that claims to be another one is listed before it.

use serde_json::{Map, Value as Json, json};

use super::Function;
use super::row::{Answer, Call, Cell};
use crate::json;

/// The declarations.
pub const FUNCTIONS: &[Function] =
    &[Function::row("parse_user_agent", &["(user_agent: text, [look_for: scalar]) -> dynamic"], parse_user_agent).doc(
        "What a user-agent text says of browser, system and device.",
        &[(
            "parse_user_agent('Mozilla/5.0 (Windows; U; en-US) AppleWebKit/531.9 (KHTML, like Gecko) AdobeAIR/2.5.1', 'browser')",
            "dynamic({\"Browser\":{\"Family\":\"AdobeAIR\",\"MajorVersion\":\"2\",\"MinorVersion\":\"5\",\"Patch\":\"1\"}})",
        )],
    )];

/// A mark in the text, and the family it stands for. The version follows the mark.
type Rule = (&'static str, &'static str);

const BROWSERS: &[Rule] = &[
    ("AdobeAIR/", "AdobeAIR"),
    ("Googlebot/", "Googlebot"),
    ("bingbot/", "bingbot"),
    ("YandexBot/", "YandexBot"),
    ("FBAV/", "Facebook"),
    ("Instagram ", "Instagram"),
    ("EdgiOS/", "Edge Mobile"),
    ("EdgA/", "Edge Mobile"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPiOS/", "Opera Mini"),
    ("Opera Mini/", "Opera Mini"),
    ("OPR/", "Opera"),
    ("YaBrowser/", "Yandex Browser"),
    ("UCBrowser/", "UC Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("FxiOS/", "Firefox iOS"),
    ("CriOS/", "Chrome Mobile iOS"),
    ("HeadlessChrome/", "HeadlessChrome"),
    ("Electron/", "Electron"),
    ("PhantomJS/", "PhantomJS"),
    ("SeaMonkey/", "SeaMonkey"),
    ("Thunderbird/", "Thunderbird"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("IEMobile/", "IE Mobile"),
    ("MSIE ", "IE"),
    ("Trident/7.0; ", "IE"),
    ("Microsoft Outlook ", "Outlook"),
    ("BlackBerry", "BlackBerry WebKit"),
    ("Opera/", "Opera"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "Python Requests"),
    ("Python-urllib/", "Python-urllib"),
    ("Go-http-client/", "Go-http-client"),
    ("okhttp/", "okhttp"),
    ("Apache-HttpClient/", "Apache-HttpClient"),
    ("Java/", "Java"),
    ("PowerShell/", "PowerShell"),
];

/// Windows versions by the number of their kernel.
const WINDOWS: &[(&str, &str)] = &[
    ("Windows NT 10.0", "10"),
    ("Windows NT 6.3", "8.1"),
    ("Windows NT 6.2", "8"),
    ("Windows NT 6.1", "7"),
    ("Windows NT 6.0", "Vista"),
    ("Windows NT 5.2", "XP"),
    ("Windows NT 5.1", "XP"),
    ("Windows NT 5.0", "2000"),
    ("Windows 98", "98"),
];

const SYSTEMS: &[Rule] = &[
    ("Windows Phone OS ", "Windows Phone"),
    ("Windows Phone ", "Windows Phone"),
    ("Windows", "Windows"),
    ("iPhone OS ", "iOS"),
    ("CPU OS ", "iOS"),
    ("Mac OS X ", "Mac OS X"),
    ("Macintosh", "Mac OS X"),
    ("Android ", "Android"),
    ("Android", "Android"),
    ("CrOS ", "Chrome OS"),
    ("SymbianOS/", "Symbian OS"),
    ("Symbian", "Symbian OS"),
    ("BlackBerry", "BlackBerry OS"),
    ("Tizen ", "Tizen"),
    ("Ubuntu", "Ubuntu"),
    ("Fedora", "Fedora"),
    ("Debian", "Debian"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("SunOS", "Solaris"),
];

fn parse_user_agent<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let text = args[0].text();
    let wanted: Vec<String> = match args.get(1) {
        None => ["browser", "os", "device"].map(str::to_owned).to_vec(),
        Some(cell) => match json::elements(cell.text()) {
            Some(all) if call.types[1] == moneta_event::ColumnType::Dynamic => {
                all.iter().map(|element| json::to_text(element).to_lowercase()).collect()
            }
            _ => vec![super::conversion::cell_text(*cell, call.types[1]).to_lowercase()],
        },
    };
    let mut bag = Map::new();
    for part in wanted {
        match part.as_str() {
            "browser" => bag.insert("Browser".to_owned(), browser(text)),
            "os" => bag.insert("OperatingSystem".to_owned(), operating_system(text)),
            "device" => bag.insert("Device".to_owned(), device(text)),
            _ => return Answer::Null,
        };
    }
    Json::Object(bag).into()
}

/// The first rule whose mark occurs, and the text behind it.
fn first<'t>(text: &'t str, rules: &[Rule]) -> Option<(&'static str, &'t str)> {
    rules.iter().find_map(|(mark, family)| text.split_once(mark).map(|(_, behind)| (*family, behind)))
}

/// The numbers at the start of a text, parted by points or underscores.
fn version(text: &str) -> [&str; 4] {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let mut parts = text[..end].split(['.', '_']);
    std::array::from_fn(|_| parts.next().unwrap_or(""))
}

fn browser(text: &str) -> Json {
    let (family, behind) = match first(text, BROWSERS) {
        // Internet Explorer 11 tells its version elsewhere.
        Some(("IE", behind)) if !text.contains("MSIE ") => ("IE", text.split_once("rv:").map_or(behind, |(_, v)| v)),
        Some(("Chrome", behind)) if text.contains("Mobile") => ("Chrome Mobile", behind),
        Some(("Firefox", behind)) if text.contains("Mobile") => ("Firefox Mobile", behind),
        Some(found) => found,
        None => safari(text),
    };
    let [major, minor, patch, _] = version(behind);
    json!({"Family": family, "MajorVersion": major, "MinorVersion": minor, "Patch": patch})
}

/// Safari and what is built like it tell their version behind `Version/`.
fn safari(text: &str) -> (&'static str, &str) {
    let behind = text.split_once("Version/").map_or("", |(_, behind)| behind);
    match text {
        _ if text.contains("Android") && text.contains("Safari/") => ("Android", behind),
        // The Symbian browser is told by the version of the phone's platform.
        _ if text.contains("Series60/") => {
            ("Nokia OSS Browser", text.split_once("Series60/").map_or("", |(_, behind)| behind))
        }
        _ if text.contains("SymbianOS") || text.contains("Nokia") => ("Nokia Browser", behind),
        _ if text.contains("Safari/") && text.contains("Mobile") => ("Mobile Safari", behind),
        _ if text.contains("Safari/") => ("Safari", behind),
        _ => ("Other", ""),
    }
}

fn operating_system(text: &str) -> Json {
    let windows = WINDOWS.iter().find(|(mark, _)| text.contains(mark));
    let (family, parts) = match (windows, first(text, SYSTEMS)) {
        (Some((_, version)), _) => {
            let mut parts = version.split('.');
            ("Windows", [parts.next().unwrap_or(""), parts.next().unwrap_or(""), "", ""])
        }
        (None, Some((family, behind))) => (family, version(behind)),
        (None, None) => ("Other", [""; 4]),
    };
    let [major, minor, patch, minor_patch] = parts;
    json!({
        "Family": family, "MajorVersion": major, "MinorVersion": minor, "Patch": patch, "PatchMinor": minor_patch,
    })
}

fn device(text: &str) -> Json {
    let (family, brand, model) = match text {
        _ if ["bot", "Bot", "spider", "crawler"].iter().any(|mark| text.contains(mark)) => {
            ("Spider".to_owned(), "Spider", "Desktop".to_owned())
        }
        _ if text.contains("iPhone") => ("iPhone".to_owned(), "Apple", "iPhone".to_owned()),
        _ if text.contains("iPad") => ("iPad".to_owned(), "Apple", "iPad".to_owned()),
        _ if text.contains("Macintosh") => ("Mac".to_owned(), "Apple", "Mac".to_owned()),
        _ => branded(text),
    };
    json!({"Family": family, "Brand": brand, "Model": model})
}

/// Phones that name their maker.
fn branded(text: &str) -> (String, &'static str, String) {
    const MAKERS: &[(&str, &str)] =
        &[("Nokia", "Nokia"), ("SM-", "Samsung"), ("SAMSUNG", "Samsung"), ("Pixel", "Google"), ("HUAWEI", "Huawei")];
    for (mark, brand) in MAKERS {
        if let Some((_, behind)) = text.split_once(mark) {
            let end = behind.find([' ', '/', ';', ')']).unwrap_or(behind.len());
            let prefix = if *mark == "SM-" { mark } else { "" };
            let model = format!("{prefix}{}", behind[..end].trim_start_matches('-'));
            // A Nokia's family is its model without the variant.
            let known = if *mark == "Nokia" { model.split('-').next().unwrap_or("") } else { &model };
            return (format!("{brand} {known}").trim().to_owned(), brand, model);
        }
    }
    ("Other".to_owned(), "", String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_that_claim_to_be_others_are_known() {
        let check = |text: &str, family: &str, major: &str, system: &str| {
            assert_eq!(browser(text)["Family"], family, "{text}");
            assert_eq!(browser(text)["MajorVersion"], major, "{text}");
            assert_eq!(operating_system(text)["Family"], system, "{text}");
        };
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
        check(&format!("{windows} Chrome/120.0.0.0 Safari/537.36"), "Chrome", "120", "Windows");
        check(&format!("{windows} Chrome/120.0.0.0 Safari/537.36 Edg/119.0"), "Edge", "119", "Windows");
        check("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko", "IE", "11", "Windows");
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1 Version/17.1 Mobile/15E148 Safari/604.1",
            "Mobile Safari",
            "17",
            "iOS",
        );
        let nokia = "Mozilla/5.0 (SymbianOS/9.2; U; Series60/3.1 NokiaE71-1/110.07 Profile/MIDP-2.0) AppleWebKit/413 Safari/413";
        check(nokia, "Nokia OSS Browser", "3", "Symbian OS");
        assert_eq!(device(nokia), json!({"Family": "Nokia E71", "Brand": "Nokia", "Model": "E71-1"}));
        check("curl/8.4.0", "curl", "8", "Other");
        check("", "Other", "", "Other");
    }
}
