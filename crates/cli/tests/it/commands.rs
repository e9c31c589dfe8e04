//! Every command once, and what goes wrong with them.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::{Moneta, json_lines, syslog_lines};

/// A directory with 120 syslog messages and 80 objects.
fn filled() -> Moneta {
    let moneta = Moneta::new();
    let syslog = moneta.file("logs/syslog", syslog_lines(120));
    let steps = moneta.file("logs/steps.ndjson", json_lines(80));
    let summary = moneta.json(&["ingest", &syslog, &steps]);
    assert_eq!(summary["tables"], serde_json::json!({ "Syslog": 120, "steps_CL": 80 }), "{summary}");
    moneta
}

#[test]
fn files_are_stored_once_queried_and_verified() {
    let moneta = filled();
    assert_eq!(moneta.count("Syslog | count"), 120);
    assert_eq!(moneta.count("steps_CL | where Step >= 40 | summarize count()"), 40);
    let again = moneta.json(&["ingest", moneta.dir.join("logs").to_str().unwrap()]);
    assert_eq!((&again["events"], &again["already_stored"]), (&0.into(), &200.into()), "{again}");
    assert_eq!(moneta.count("Syslog | count"), 120);
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
    moneta.ok(&["ingest", "--again", moneta.dir.join("logs/syslog").to_str().unwrap()]);
    assert_eq!(moneta.count("Syslog | count"), 240);
}

#[test]
fn a_file_is_stored_once_whether_through_a_server_or_not() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    let syslog = moneta.file("syslog", syslog_lines(50));
    assert_eq!(moneta.json(&["ingest", &syslog])["events"], 50);
    assert_eq!(moneta.json(&["ingest", &syslog])["already_stored"], 50);
    server.stop();
    assert_eq!(moneta.json(&["ingest", &syslog])["already_stored"], 50);
    assert_eq!(moneta.count("Syslog | count"), 50);
}

#[test]
fn a_row_is_proved_with_and_without_a_server() {
    let moneta = filled();
    let file = moneta.dir.join("row.proof");
    let check = |text: &str| {
        let verdict = moneta_verify::proof::check_record_proof(text, &moneta.verifier_key()).unwrap();
        assert!(verdict.contains("row _Seq 7 of table steps_CL"), "{verdict}");
    };
    check(&moneta.ok(&["prove", "steps_CL", "7"]));
    let server = moneta.serve();
    moneta.ok(&["prove", "steps_CL", "7", "-o", file.to_str().unwrap()]);
    check(&std::fs::read_to_string(&file).unwrap());
    let through = moneta.run(&["prove", "steps_CL", "80"]);
    server.stop();
    let direct = moneta.run(&["prove", "steps_CL", "80"]);
    assert_eq!((through.code, &through.stderr), (2, &direct.stderr));
    assert!(direct.code == 2 && direct.stderr.contains("_Seq 0 to 79 are stored"), "{direct:?}");
}

#[test]
fn a_hold_is_placed_listed_and_released_with_and_without_a_server() {
    let moneta = filled();
    let hold = ["store", "hold", "case-7", "--table", "steps_CL", "--reason", "court"];
    moneta.ok(&hold);
    let twice = moneta.run(&hold);
    assert!(twice.code == 2 && twice.stderr.contains("already"), "{twice:?}");
    let server = moneta.serve();
    let holds = moneta.json(&["store", "holds"]);
    assert_eq!((&holds[0]["name"], &holds[0]["table"]), (&"case-7".into(), &"steps_CL".into()), "{holds}");
    let tables = moneta.json(&["store", "retention"]);
    let held = |name: &str| {
        tables.as_array().unwrap().iter().find(|table| table["name"] == name).unwrap()["held_days"].clone()
    };
    assert_eq!((held("steps_CL"), held("Syslog")), (1.into(), 0.into()), "{tables}");
    moneta.ok(&["store", "release", "case-7", "--reason", "settled"]);
    assert_eq!(moneta.json(&["store", "holds"]), serde_json::json!([]));
    server.stop();
    let again = moneta.run(&["store", "release", "case-7", "--reason", "settled"]);
    assert!(again.code == 2 && again.stderr.contains("no hold named"), "{again:?}");
    assert_eq!(moneta.count("MonetaAudit | where Action in ('hold.place', 'hold.release') | count"), 2);
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}

#[test]
fn a_second_process_on_a_directory_is_told_who_has_it() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    let second = moneta.run(&["serve"]);
    assert_eq!(second.code, 69, "{second:?}");
    assert!(second.stderr.contains("in use by process"), "{second:?}");
    // Other commands find the server and work through it.
    assert_eq!(moneta.json(&["status"])["version"], env!("CARGO_PKG_VERSION"));
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
    server.stop();
}

#[test]
fn a_typo_is_shown_with_its_place_code_and_nearest_name() {
    let moneta = filled();
    let run = moneta.run(&["query", "Syslog | where ProcesName == 'sshd'"]);
    assert_eq!(run.code, 2, "{run:?}");
    for part in ["SEM0100", "ProcessName", "^^^"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    assert!(run.stdout.is_empty());
    let server = moneta.serve();
    let through = moneta.run(&["query", "Syslog | where ProcesName == 'sshd'"]);
    assert_eq!((through.code, through.stderr), (run.code, run.stderr));
    server.stop();
}

#[test]
fn results_come_in_every_format_and_from_standard_input() {
    let moneta = filled();
    let query = "steps_CL | where Step < 2 | sort by Step asc | project Step, Text";
    assert_eq!(moneta.ok(&["query", query, "--format", "csv"]), "Step,Text\r\n0,step 0\r\n1,step 1\r\n");
    assert_eq!(moneta.ok(&["query", query]), "{\"Step\":0,\"Text\":\"step 0\"}\n{\"Step\":1,\"Text\":\"step 1\"}\n");
    let table = moneta.run_with_input(&["query", "-", "--format", "table"], query);
    assert!(table.stdout.starts_with("Step  Text"), "{table:?}");
    let stages = moneta.ok(&["query", "--explain", query]);
    assert!(stages.matches("── ").count() >= 3, "{stages}");
    let now = moneta.ok(&["query", "print now()", "--now", "2026-05-06T07:08:09Z"]);
    assert!(now.contains("2026-05-06T07:08:09"), "{now}");
}

#[test]
fn files_are_queried_without_a_store() {
    let moneta = Moneta::new();
    let syslog = moneta.file("syslog", syslog_lines(30));
    let run = moneta.run(&["--json", "query", "--file", &syslog, "Syslog | summarize n = count() by ProcessName"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[{\"ProcessName\":\"sshd\",\"n\":30}]\n"), "{run:?}");
    assert!(!moneta.data().exists());
}

#[test]
fn a_mistake_in_a_file_is_shown_where_it_stands() {
    let moneta = Moneta::new();
    let config = moneta.file("moneta.toml", "[store]\nseal_age_secnds = 1\n");
    let run = moneta.run(&["--config", &config, "config", "validate"]);
    assert_eq!(run.code, 78, "{run:?}");
    for part in ["did you mean `seal_age_seconds`?", "--> line 2, column 1", "2 | seal_age_secnds = 1", "^^^^"] {
        assert!(run.stderr.contains(part), "{part} in {}", run.stderr);
    }
    let absent = moneta.file("absent.toml", "[rules]\nplaceholders = '/no/such/file'\n");
    let run = moneta.run(&["--config", &absent, "config", "validate"]);
    assert!(run.code == 78 && run.stderr.contains("rules.placeholders: /no/such/file"), "{run:?}");
    let good = moneta.file("good.toml", "[store]\nseal_age_seconds = 1\n");
    assert_eq!(moneta.json(&["--config", &good, "config", "validate"])["valid"], true);
    let rule = moneta.file(
        "rule.yml",
        "title: Odd\nlevel: hihg\nlogsource: { product: linux }\ndetection: { k: [a], condition: k }\n",
    );
    let run = moneta.run(&["rules", "check", &rule]);
    assert!(run.code == 1 && run.stderr.contains("2 | level: hihg\n  | ^^^^^^^^^^^"), "{run:?}");
    let run = moneta.run(&["credential", "create", "--name", "x", "--scope", "qurey"]);
    assert!(run.code == 2 && run.stderr.contains("did you mean \"query\"?"), "{run:?}");
}

#[test]
fn every_result_is_json_when_asked_for() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(1))]);
    assert!(moneta.json(&["config", "webhook-secret"])["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(moneta.json(&["completions", "bash"])["shell"], "bash");
    let query = moneta.file("query.kql", "T|take 1");
    assert_eq!(moneta.json(&["kql", "fmt", &query])["changed"], true);
    let run = moneta.run_with_input(&["--json", "kql", "fmt"], "T|take 1");
    let told: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(told["changes"], true, "{run:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let moneta = Moneta::new();
    let dir = moneta.dir.join("man1");
    moneta.ok(&["man", dir.to_str().unwrap()]);
    for (page, words) in
        [("moneta.1", "Exit codes"), ("moneta-apply.1", "dry\\-run"), ("moneta-rules-add.1", "credential\\-file")]
    {
        let text = std::fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".TH ") && text.contains(words), "{page}: {text}");
    }
}

#[test]
fn exit_codes_tell_apart_what_went_wrong() {
    let moneta = Moneta::new();
    let check = |arguments: &[&str], code: i32, words: &str| {
        let run = moneta.run(arguments);
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{words:?} in {}", run.stderr);
    };
    let notes = moneta.file("notes.txt", "just words");
    check(&["nonsense"], 2, "unrecognized subcommand");
    check(&["query", "Syslog | count"], 69, "no data directory");
    check(&["status", "--server", "http://127.0.0.1:1"], 77, "no credential");
    check(&["ingest", "/no/such/file"], 74, "/no/such/file");
    check(&["ingest", &notes], 1, "not recognised");
    check(&["ingest", "--format", "excel", &notes], 2, "known formats");
    check(&["serve", "--config", &moneta.file("bad.toml", "[server]\nlissten = 1\n")], 78, "lissten");
    check(&["--json", "query", "Syslog | cuont"], 2, "\"exit\":2");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let moneta = filled();
    let mut command = moneta.command(&["query", "range x from 1 to 200000 step 1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((line.as_str(), errors.as_str()), ("{\"x\":1}\n", ""));
    assert!(child.wait().unwrap().success());
}

#[test]
fn credentials_are_made_listed_and_revoked() {
    let moneta = filled();
    let server = moneta.serve();
    let issued = moneta.json(&["credential", "create", "--name", "shipper", "--scope", "ingest", "--days", "7"]);
    let file = moneta.file("credential", issued["credential"].as_str().unwrap());
    let remote = |arguments: &[&str]| {
        let address = server.address();
        let all: Vec<&str> =
            ["--server", &address, "--credential-file", &file].iter().chain(arguments).copied().collect();
        moneta.run(&all)
    };
    assert_eq!(remote(&["ingest", &moneta.file("more.ndjson", json_lines(3))]).code, 0);
    assert_eq!(remote(&["query", "print 1"]).code, 77, "it may ingest only");
    let id = issued["id"].as_str().unwrap();
    assert!(moneta.ok(&["credential", "list"]).contains(id));
    moneta.ok(&["credential", "revoke", id]);
    assert_eq!(remote(&["ingest", &moneta.file("late.ndjson", json_lines(4))]).code, 77);
    server.stop();
}

#[test]
fn what_cannot_be_parsed_is_listed_and_can_be_replayed() {
    let moneta = Moneta::new();
    let broken = moneta.file("mixed.ndjson", "{\"a\":1}\n{\"a\":\n{\"a\":2}\n");
    let summary = moneta.json(&["ingest", &broken]);
    assert_eq!((&summary["events"], &summary["quarantined"]), (&2.into(), &1.into()), "{summary}");
    let list = moneta.json(&["quarantine", "list"]);
    assert_eq!(
        (list[0]["ReasonCode"].as_str(), list[0]["SizeBytes"].as_u64()),
        (Some("invalid_json"), Some(5)),
        "{list}"
    );
    let report = moneta.json(&["quarantine", "replay", "--all"]);
    assert_eq!((&report["num_stored"], &report["num_refused"]), (&0.into(), &1.into()));
    assert_eq!(moneta.run(&["quarantine", "replay"]).code, 2);
}

#[test]
fn retention_is_shown_and_shortened_only_on_purpose() {
    let moneta = filled();
    assert_eq!(moneta.run(&["retention", "set", "Syslog", "30"]).code, 2, "shorter than now");
    moneta.ok(&["retention", "set", "Syslog", "30", "--yes"]);
    let shown = moneta.json(&["retention", "show"]);
    let syslog = shown.as_array().unwrap().iter().find(|row| row["table"] == "Syslog").unwrap();
    assert_eq!((&syslog["days"], &syslog["rows"]), (&30.into(), &120.into()));
    assert_eq!(moneta.run(&["retention", "set", "Syslog", "0"]).code, 2);
}

#[test]
fn rules_that_load_raise_alerts_and_the_others_are_named() {
    let moneta = Moneta::new();
    moneta.file("rules/good.yml", crate::hunting::RULE);
    moneta.file("rules/bad.yml", "title: broken\nlogsource: {}\n");
    let server = moneta.serve();
    let added = moneta.run(&["rules", "add", moneta.dir.join("rules").to_str().unwrap()]);
    assert_eq!(added.code, 1, "{added:?}");
    assert!(added.stdout.contains("1 rules loaded") && added.stderr.contains("broken"), "{added:?}");
    moneta.ok(&["ingest", &moneta.file("syslog", crate::hunting::LOG)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(crate::support::wait_until("an alert", || moneta.count("SecurityAlert | count") == 1));
    assert_eq!(moneta.json(&["rules", "list"])[0]["title"], "Failed password");
    moneta.ok(&["rules", "remove", "5f7c1b1e-0000-4000-8000-000000000001"]);
    assert_eq!(moneta.json(&["rules", "list"]), serde_json::json!([]));
    server.stop();
}

#[test]
fn the_doctor_names_what_fails_with_a_fix() {
    let moneta = Moneta::new();
    let findings = moneta.json(&["doctor"]);
    let findings = findings.as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["what"] == "fsync"));
    assert!(findings.iter().all(|finding| finding["verdict"] == "OK" || !finding["fix"].as_str().unwrap().is_empty()));
    let taken = std::net::TcpListener::bind(("127.0.0.1", moneta.http_port)).unwrap();
    let run = moneta.run(&["doctor"]);
    assert!(run.code == 1 && run.stdout.contains("FAIL port http"), "{run:?}");
    drop(taken);
    let found = |what: &str| {
        // A busy machine may fail at something else.
        let findings: serde_json::Value = serde_json::from_str(&moneta.run(&["--json", "doctor"]).stdout).unwrap();
        let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
        found.unwrap_or_else(|| panic!("{what}: {findings}")).clone()
    };
    let server = moneta.serve();
    assert_eq!(found("certificate")["verdict"], "OK");
    assert_eq!(found("last backup")["verdict"], "WARN");
    assert!(found("acknowledgement")["found"].as_str().unwrap().contains("row on disk"));
    moneta.ok(&["backup", moneta.dir.join("backups").to_str().unwrap()]);
    assert_eq!(found("last backup")["verdict"], "OK");
    server.stop();
}

#[test]
fn the_configuration_says_where_each_value_comes_from() {
    let moneta = Moneta::new();
    let file = moneta.file("moneta.toml", "[store]\nseal_age_seconds = 7\n");
    let rows = moneta.json(&["--config", &file, "config", "show", "--origin"]);
    let origin = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap()["origin"].clone();
    assert_eq!(origin("store.seal_age_seconds"), file.as_str());
    assert_eq!(origin("server.listen"), "environment MONETA_SERVER__LISTEN");
    assert_eq!(origin("store.seal_bytes"), "default");
}

#[test]
fn the_configuration_is_shown_without_secrets_in_addresses() {
    let moneta = Moneta::new();
    let file = "[[notify.channels]]\nname = 'chat'\nkind = 'slack'\nurl = 'https://hooks.example/services/T0/hush'\n";
    let file = moneta.file("moneta.toml", file);
    for form in [&["--json"][..], &[]] {
        let shown = moneta.ok(&[form, &["--config", &file, "config", "show"]].concat());
        assert!(shown.contains("https://hooks.example/…") && shown.contains("chat"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn a_started_server_says_how_to_begin() {
    let moneta = Moneta::new();
    let mut child = moneta.command(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let all: Vec<String> = lines.by_ref().take_while(|line| !line.ends_with(" verify")).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let text = all.join("\n");
    for part in ["ready at http://127.0.0.1:", "/welcome?token=", " query '", " ingest /var/log"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_server_stopped_as_soon_as_it_is_ready_stops_in_order() {
    let moneta = Moneta::new();
    for _ in 0..5 {
        moneta.serve().stop();
        assert!(moneta.data().join("inventory").is_file());
    }
}

#[test]
fn shells_complete_every_command() {
    let script = Moneta::new().ok(&["completions", "bash"]);
    for command in ["serve", "quarantine", "--data-dir"] {
        assert!(script.contains(command), "{command}");
    }
}

#[test]
fn queries_are_laid_out_once_and_then_left_alone() {
    let moneta = Moneta::new();
    let file = moneta.file("query.kql", "T|where a==1 // why\n|take 5");
    assert_eq!(moneta.run(&["kql", "fmt", "--check", &file]).code, 1);
    moneta.ok(&["kql", "fmt", &file]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "T\n| where a == 1 // why\n| take 5\n");
    assert_eq!(moneta.run(&["kql", "fmt", "--check", &file]).code, 0);
    let wrong = moneta.file("wrong.kql", "T | sumarize x");
    let output = moneta.run(&["kql", "fmt", &wrong]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("did you mean `summarize`?"), "{output:?}");
}

#[test]
fn a_mapping_file_is_tried_on_a_sample_and_its_mistakes_are_named() {
    let moneta = Moneta::new();
    let own = "[[mapping]]\nname = 'shop'\nabout = 'orders'\nline = '{at} order={id} total={total}'\n\
         table = 'Shop_CL'\ntime = 'at'\n[mapping.fields]\nOrderId = 'id'\n";
    let mapping = moneta.file("shop.toml", own);
    let sample = moneta.file("shop.log", "2026-06-01T10:00:00Z order=7 total=12.50\n".repeat(3));
    let report = moneta.json(&["mapping", "test", &mapping, &sample]);
    let table = &report["tables"][0];
    assert_eq!((&table["table"], &table["rows"]), (&"Shop_CL".into(), &3.into()), "{report}");
    assert_eq!((&table["first_row"]["OrderId"], &table["columns_filled"]["total"]), (&"7".into(), &3.into()));
    let shown = moneta.ok(&["decode", "--mapping", &mapping, &sample]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.contains(r#""Type":"Shop_CL","TimeGenerated":"2026-06-01T10:00:00.0000000Z""#), "{shown}");
    let other = moneta.file("other.log", "<13>Jun  1 10:00:00 h app: x\n");
    let missed = moneta.run(&["mapping", "test", &mapping, &other]);
    assert!(missed.code == 1 && missed.stderr.contains("no record went to a table of"), "{missed:?}");
    let wrong = moneta.file("wrong.toml", own.replace("table = 'Shop_CL'", ""));
    let refused = moneta.run(&["mapping", "test", &wrong, &sample]);
    let named = refused.stderr.contains("wrong.toml: mapping shop: a mapping needs a table");
    assert!(refused.code == 2 && named, "{refused:?}");
}

#[test]
fn times_that_name_no_zone_are_of_the_one_that_was_typed() {
    let moneta = Moneta::new();
    let call = "\"\",\"100\",\"200\",\"ctx\",\"Ann\",\"SIP/1\",\"SIP/2\",\"Dial\",\"x\",\"2026-06-01 10:00:00\",\
\"2026-06-01 10:00:03\",\"2026-06-01 10:01:00\",\"60\",\"57\",\"ANSWERED\",\"DOCUMENTATION\"\n";
    let file = moneta.file("Master.csv", call);
    let shown = moneta.ok(&["decode", "--zone", "+02:00", &file]);
    assert!(shown.contains(r#""TimeGenerated":"2026-06-01T08:00:00.0000000Z""#), "{shown}");
    assert!(moneta.ok(&["decode", &file]).contains(r#""TimeGenerated":"2026-06-01T10:00:00.0000000Z""#));
    let refused = moneta.run(&["decode", "--zone", "Berlin", &file]);
    assert!(refused.code == 2 && refused.stderr.contains("+02:00"), "{refused:?}");
    let stored = |hour: &str| {
        let query = format!("CallDetailRecord_CL | where TimeGenerated == datetime(2026-06-01T{hour}:00:00Z) | count");
        moneta.count(&query)
    };
    assert_eq!(moneta.json(&["ingest", "--zone", "-07:00", &file])["events"], 1);
    assert_eq!(stored("17"), 1);
    let server = moneta.serve();
    assert_eq!(moneta.json(&["ingest", "--zone", "+02:00", &file])["events"], 1);
    assert_eq!(stored("08"), 1);
    assert_eq!(moneta.json(&["ingest", "--zone", "+02:00", &file])["already_stored"], 1);
    server.stop();
}

#[test]
fn sources_are_listed_with_and_without_a_server_and_over_restarts() {
    let moneta = filled();
    let lines = |listed: &serde_json::Value| {
        let line = |one: &serde_json::Value| {
            (one["table"].as_str().unwrap().to_owned(), one["num_records"].as_u64().unwrap(), one["state"].clone())
        };
        let mut lines: Vec<_> = listed.as_array().unwrap().iter().map(line).collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        lines.dedup_by(|next, kept| {
            next.0 == kept.0 && {
                kept.1 += next.1;
                true
            }
        });
        lines
    };
    let expected = [("Syslog".to_owned(), 120, "learning".into()), ("steps_CL".to_owned(), 80, "learning".into())];
    let listed = moneta.json(&["sources"]);
    assert_eq!(lines(&listed), expected, "{listed}");
    let server = moneta.serve();
    let listed = moneta.json(&["sources"]);
    assert_eq!(lines(&listed), expected, "{listed}");
    assert_eq!(moneta.json(&["sources", "--troubled"]), serde_json::json!([]));
    let quality = moneta.json(&["sources", "quality"]);
    let syslog = quality.as_array().unwrap().iter().find(|one| one["table"] == "Syslog").unwrap();
    assert_eq!((&syslog["what"], &syslog["when"]), (&1.0.into(), &1.0.into()), "{quality}");
    server.stop();
    assert_eq!(moneta.run(&["sources", "quality", "--troubled"]).code, 2);
}
