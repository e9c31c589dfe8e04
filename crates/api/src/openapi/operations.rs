//! The operations by path, as `router.rs` has them.

use super::{Answer, Body, Kind, Member, Operation};

const ANYBODY: Option<&str> = None;
const SIGNED_IN: Option<&str> = Some("signed in");
const INGEST: Option<&str> = Some("ingest");
const QUERY: Option<&str> = Some("query");
const RESPOND: Option<&str> = Some("respond");
const ADMIN: Option<&str> = Some("admin");

const NOTHING: &[Member] = &[];
const DONE: Answer = Answer::None;

const LONG: Kind = Kind::Whole(i64::MAX.unsigned_abs());
const TEXT_OR_NULL: Kind = Kind::OrNull(&Kind::Text);
const TIME_OR_NULL: Kind = Kind::OrNull(&Kind::Time);
const DAY_OR_NULL: Kind = Kind::OrNull(&Kind::Day);
const TEXTS: Kind = Kind::Many(&Kind::Text);

const fn must(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, is_required: true }
}

const fn may(name: &'static str, kind: Kind) -> Member {
    Member { name, kind, is_required: false }
}

const CLASSIFICATIONS: Kind = Kind::Word(&["TruePositive", "BenignPositive", "FalsePositive", "Undetermined"]);
const CAUSES: Kind = Kind::OrNull(&Kind::Word(&["IncorrectAlertLogic", "InaccurateData"]));
const SEVERITIES: Kind = Kind::Word(&["Informational", "Low", "Medium", "High"]);
const SCOPES: Kind = Kind::Many(&Kind::Word(&["ingest", "query", "respond", "admin"]));
const TESTS: Kind = Kind::Word(&["equals", "contains", "startswith", "endswith", "cidr"]);
const CONDITION: Kind = Kind::Object(&[must("field", Kind::Text), may("test", TESTS), must("values", TEXTS)]);
const CONDITIONS: Kind = Kind::Many(&CONDITION);
const FILES: Kind = Kind::Many(&Kind::Object(&[must("name", Kind::Text), must("text", Kind::Text)]));
const TO_CLOSE: Kind = Kind::Many(&Kind::Object(&[must("number", LONG), may("version", Kind::OrNull(&LONG))]));
const AT_CURSOR: &[Member] = &[must("text", Kind::Text), must("offset", LONG)];
const TEXT: &[Member] = &[must("text", Kind::Text)];
/// A query as Kusto's clients send it.
const KUSTO: &[Member] =
    &[may("db", TEXT_OR_NULL), must("csl", Kind::Text), may("properties", Kind::OrNull(&Kind::Text))];

/// A query whose result becomes a file.
const EXPORT: &[Member] = &[
    must("text", Kind::Text),
    must("format", Kind::Word(&["ndjson", "json", "csv", "parquet"])),
    may("language", Kind::Word(&["kql", "sql"])),
    may("from", Kind::Time),
    may("to", Kind::Time),
    may("now", Kind::Time),
];
const FILE_TYPES: &[&str] = &[
    "application/x-ndjson",
    "application/json",
    "text/csv; charset=utf-8; header=present",
    "application/vnd.apache.parquet",
];

type Parts = (&'static str, &'static str, Option<&'static str>, &'static str);

const fn op(
    (method, path, scope, summary): Parts,
    parameters: &'static [Member],
    body: Body,
    status: u16,
    answer: Answer,
) -> Operation {
    Operation { method, path, scope, summary, parameters, body, status, answer }
}

/// A question without a body.
const fn get(path: &'static str, scope: Option<&'static str>, summary: &'static str, answer: Answer) -> Operation {
    op(("GET", path, scope, summary), NOTHING, Body::None, 200, answer)
}

/// A change that says nothing but that it is done.
const fn change(
    method: &'static str,
    path: &'static str,
    scope: Option<&'static str>,
    summary: &'static str,
    body: Body,
) -> Operation {
    op((method, path, scope, summary), NOTHING, body, 204, DONE)
}

/// A request with a JSON body that is answered by an object.
const fn ask(
    method: &'static str,
    path: &'static str,
    scope: Option<&'static str>,
    summary: &'static str,
    members: &'static [Member],
    answer: &'static [&'static str],
) -> Operation {
    op((method, path, scope, summary), NOTHING, Body::Json(members), 200, Answer::Object(answer))
}

pub(super) static ALL: &[Operation] = &[
    get("/v1/openapi.json", ANYBODY, "This description", Answer::Object(&["openapi", "info", "paths"])),
    get("/health/livez", ANYBODY, "The process answers", Answer::Object(&["status"])),
    get("/healthz", ANYBODY, "The process answers", Answer::Object(&["status"])),
    get("/health/readyz", ANYBODY, "Every part can work, or which cannot (503)", Answer::Object(&["status", "parts"])),
    get(
        "/metrics",
        QUERY,
        "OpenMetrics text; from this machine for anybody",
        Answer::Other("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ),
    ask(
        "POST",
        "/v1/sign-in",
        ANYBODY,
        "Begins a session: sets its cookie",
        &[must("name", Kind::Text), must("password", Kind::Text)],
        &["name"],
    ),
    change("POST", "/v1/sign-out", SIGNED_IN, "Ends the session", Body::None),
    op(
        ("POST", "/v1/first-account", ANYBODY, "Spends the one-time link, makes the first account and signs in"),
        NOTHING,
        Body::Json(&[must("token", Kind::Text), must("name", Kind::Text), must("password", Kind::Text)]),
        201,
        Answer::Object(&["name"]),
    ),
    get("/v1/session", ANYBODY, "Who asks and what they may do", Answer::Object(&["name", "scopes"])),
    get("/v1/accounts", ADMIN, "Accounts", Answer::Object(&["accounts"])),
    op(
        ("POST", "/v1/accounts", ADMIN, "Makes an account"),
        NOTHING,
        Body::Json(&[must("name", Kind::Text), must("password", Kind::Text), must("scopes", SCOPES)]),
        201,
        DONE,
    ),
    change("DELETE", "/v1/accounts/{name}", ADMIN, "Disables an account; its name is never given again", Body::None),
    change(
        "PUT",
        "/v1/accounts/{name}/password",
        SIGNED_IN,
        "Changes one's own password, or with `admin` another's, and ends the account's sessions",
        Body::Json(&[must("password", Kind::Text), may("old_password", TEXT_OR_NULL)]),
    ),
    change(
        "PUT",
        "/v1/accounts/{name}/scopes",
        ADMIN,
        "Changes what an account may do, and ends its sessions; the last administrator stays one",
        Body::Json(&[must("scopes", SCOPES)]),
    ),
    get("/v1/credentials", ADMIN, "Credentials without their secrets", Answer::Object(&["credentials"])),
    op(
        ("POST", "/v1/credentials", ADMIN, "Makes a credential; its secrets are shown once"),
        NOTHING,
        Body::Json(&[must("name", Kind::Text), must("scopes", SCOPES), may("expires_in_days", Kind::OrNull(&LONG))]),
        201,
        Answer::Object(&["id", "credential", "shared_key", "expires"]),
    ),
    change("DELETE", "/v1/credentials/{id}", ADMIN, "Revokes a credential", Body::None),
    op(
        ("POST", "/v1/ingest/{table}", INGEST, "Stores events in a table, all or none"),
        NOTHING,
        Body::Events,
        200,
        Answer::Object(&[
            "table",
            "accepted",
            "quarantined",
            "first_seq",
            "num_rows",
            "duplicate",
            "stored_at",
            "receipt",
        ]),
    ),
    op(
        ("POST", "/v1/ingest", INGEST, "Stores a file of any size, streamed"),
        &[
            may("name", Kind::Text),
            may("format", Kind::Text),
            may("table", Kind::Text),
            may("zone_offset_seconds", Kind::Integer(-64_800, 64_800)),
            may("receipts", Kind::Flag),
        ],
        Body::Bytes(&["application/octet-stream"]),
        200,
        Answer::Object(&["name", "format", "tables", "accepted"]),
    ),
    ask("POST", "/v1/kql/complete", QUERY, "What may stand at the cursor", AT_CURSOR, &["completions"]),
    ask("POST", "/v1/kql/hover", QUERY, "What the word at the cursor means", AT_CURSOR, &["hover"]),
    ask("POST", "/v1/kql/format", QUERY, "A query laid out", TEXT, &["text"]),
    ask("POST", "/v1/kql/diagnostics", QUERY, "What is wrong with a query", TEXT, &["diagnostics"]),
    ask("POST", "/v1/explain", QUERY, "Every stage of a query as text", KUSTO, &["stages"]),
    op(
        ("GET", "/v1/export", QUERY, "The result of a query of any size, as a file with its hash in a trailer"),
        EXPORT,
        Body::None,
        200,
        Answer::AnyOf(FILE_TYPES),
    ),
    op(
        ("POST", "/v1/export", QUERY, "The result of a query of any size, as a file with its hash in a trailer"),
        NOTHING,
        Body::Json(EXPORT),
        200,
        Answer::AnyOf(FILE_TYPES),
    ),
    get("/v1/functions", QUERY, "Stored functions", Answer::Object(&["functions"])),
    ask(
        "PUT",
        "/v1/functions/{name}",
        ADMIN,
        "Makes or replaces a function",
        &[
            must("body", Kind::Text),
            may("parameters", Kind::Text),
            may("folder", Kind::Text),
            may("doc_string", Kind::Text),
            may("skip_validation", Kind::Flag),
        ],
        &["name", "parameters", "body"],
    ),
    change("DELETE", "/v1/functions/{name}", ADMIN, "Removes a function", Body::None),
    get("/v1/saved-queries", QUERY, "Saved queries", Answer::Object(&["saved_queries"])),
    ask(
        "PUT",
        "/v1/saved-queries/{name}",
        QUERY,
        "Saves a query or replaces one's own; another's with `admin`",
        &[
            must("text", Kind::Text),
            may("language", Kind::Word(&["kql", "sql"])),
            may("folder", Kind::Text),
            may("doc_string", Kind::Text),
        ],
        &["name", "text", "language"],
    ),
    change(
        "DELETE",
        "/v1/saved-queries/{name}",
        QUERY,
        "Removes one's own saved query; another's with `admin`",
        Body::None,
    ),
    get("/v1/watchlists", QUERY, "Watchlists", Answer::Object(&["watchlists"])),
    op(
        ("PUT", "/v1/watchlists/{name}", ADMIN, "Stores or replaces a watchlist"),
        &[may("key", Kind::Text), may("format", Kind::Word(&["csv", "json"])), may("description", Kind::Text)],
        Body::Bytes(&["text/csv", "application/json"]),
        200,
        Answer::Object(&["name", "search_key", "columns"]),
    ),
    change("DELETE", "/v1/watchlists/{name}", ADMIN, "Removes a watchlist", Body::None),
    get("/v1/rules", QUERY, "Rules, each with what people made of its alerts", Answer::Object(&["rules"])),
    ask("POST", "/v1/rules", ADMIN, "Adds or replaces rules", &[must("files", FILES)], &[]),
    ask(
        "POST",
        "/v1/rules/check",
        ADMIN,
        "What adding rules would answer, with their tests run",
        &[must("files", FILES)],
        &["loaded", "not_loaded", "num_tests", "failed_tests"],
    ),
    op(
        ("POST", "/v1/rules/packs", ADMIN, "Adds the rules of a signed pack"),
        NOTHING,
        Body::Bytes(&["application/octet-stream"]),
        200,
        Answer::Object(&[]),
    ),
    ask(
        "POST",
        "/v1/rules/backfill",
        ADMIN,
        "What active rules, or those of files, meet in what is stored",
        &[
            may("rules", TEXTS),
            may("files", FILES),
            may("from", TIME_OR_NULL),
            may("to", TIME_OR_NULL),
            may("limit", Kind::OrNull(&LONG)),
        ],
        &[],
    ),
    get("/v1/rules/{id}", QUERY, "One rule with its text", Answer::Object(&["rule", "source", "judgement"])),
    get(
        "/v1/rules/{id}/tuning",
        QUERY,
        "What the verdicts about a rule's alerts say of how to tune it",
        Answer::Object(&["replayed", "not_replayed", "hints"]),
    ),
    change("DELETE", "/v1/rules/{id}", ADMIN, "Removes a rule", Body::None),
    ask(
        "POST",
        "/v1/rules/{id}/explain",
        QUERY,
        "Why a rule matches a stored event, or does not",
        &[must("table", Kind::Text), must("seq", LONG)],
        &["holds", "lines", "explanation"],
    ),
    change("POST", "/v1/rules/{id}/disable", ADMIN, "Keeps a rule without running it", Body::None),
    change("POST", "/v1/rules/{id}/enable", ADMIN, "Runs a rule again", Body::None),
    get("/v1/exceptions", QUERY, "Exceptions of rules, those that have ended too", Answer::Object(&["exceptions"])),
    ask(
        "POST",
        "/v1/exceptions",
        ADMIN,
        "Excepts events of a rule until a time",
        &[
            must("rule_id", Kind::Text),
            must("conditions", CONDITIONS),
            must("reason", Kind::Text),
            must("expires", Kind::Time),
        ],
        &["id", "rule_id", "conditions", "reason"],
    ),
    ask(
        "POST",
        "/v1/exceptions/preview",
        ADMIN,
        "What an exception would take away of what is stored",
        &[
            must("rule_id", Kind::Text),
            must("conditions", CONDITIONS),
            may("from", TIME_OR_NULL),
            may("to", TIME_OR_NULL),
        ],
        &["num_rows", "num_matches", "num_excepted", "excepted"],
    ),
    change("DELETE", "/v1/exceptions/{id}", ADMIN, "Ends an exception before its time", Body::None),
    op(
        ("GET", "/v1/risks", QUERY, "The hosts, accounts and addresses that most speaks against"),
        &[may("days", LONG), may("limit", LONG)],
        Body::None,
        200,
        Answer::Object(&["risks"]),
    ),
    get("/v1/channels", QUERY, "Where alerts go", Answer::Object(&["channels"])),
    op(
        ("POST", "/v1/channels/{name}/test", ADMIN, "Sends one test alert at once"),
        NOTHING,
        Body::None,
        200,
        Answer::Object(&["name", "delivered", "reason", "elapsed_ms"]),
    ),
    get("/v1/alerts/undelivered", QUERY, "Alerts that channels gave up", Answer::Object(&["alerts"])),
    op(
        ("POST", "/v1/alerts/undelivered/send", ADMIN, "Sends undelivered alerts again, once and at once"),
        NOTHING,
        Body::Json(&[may("channel", TEXT_OR_NULL), may("alerts", TEXTS)]),
        200,
        Answer::Object(&["alerts"]),
    ),
    op(
        ("GET", "/v1/incidents", QUERY, "Incidents, the newest first, page by page"),
        &[
            may("status", Kind::Word(&["open", "new", "active", "closed", "all"])),
            may("severity", SEVERITIES),
            may("owner", Kind::Text),
            may("rule", Kind::Text),
            may("text", Kind::Text),
            may("before", LONG),
            may("limit", Kind::Whole(500)),
        ],
        Body::None,
        200,
        Answer::Object(&["incidents", "next"]),
    ),
    get(
        "/v1/incidents/{number}",
        QUERY,
        "An incident with alerts, evidence and activity",
        Answer::Object(&["incident", "alerts", "activity"]),
    ),
    ask(
        "PATCH",
        "/v1/incidents/{number}",
        RESPOND,
        "Changes an incident; needs `If-Match`",
        &[
            may("owner", TEXT_OR_NULL),
            may("severity", Kind::OrNull(&SEVERITIES)),
            may("status", Kind::OrNull(&Kind::Word(&["New", "Active", "Closed"]))),
            may("title", TEXT_OR_NULL),
            may("labels", Kind::OrNull(&TEXTS)),
            may("comment", TEXT_OR_NULL),
            may("classification", Kind::OrNull(&CLASSIFICATIONS)),
            may("reason", TEXT_OR_NULL),
            may("cause", CAUSES),
        ],
        &["incident"],
    ),
    ask("POST", "/v1/incidents/{number}/comments", RESPOND, "Adds a comment", TEXT, &["incident"]),
    ask(
        "POST",
        "/v1/incidents/close",
        RESPOND,
        "Closes several incidents, each by itself",
        &[
            must("incidents", TO_CLOSE),
            must("classification", CLASSIFICATIONS),
            may("reason", TEXT_OR_NULL),
            may("cause", CAUSES),
        ],
        &["closed", "refused"],
    ),
    get("/v1/status", QUERY, "Tables, journal, checkpoint, disk, rules, collectors", Answer::Object(&[])),
    get("/v1/sources", QUERY, "What is received from whom", Answer::List),
    get("/v1/sources/quality", QUERY, "How much the records of each source say", Answer::List),
    change(
        "PUT",
        "/v1/tables/{table}/retention",
        ADMIN,
        "Keeps a table so many days; null: as configured",
        Body::Json(&[may("days", Kind::OrNull(&Kind::Whole(u32::MAX as u64)))]),
    ),
    get(
        "/v1/scrub-policy",
        ADMIN,
        "What becomes tokens before anything is stored",
        Answer::Object(&["source", "version", "sha256", "token_key_version", "patterns", "fields", "allow"]),
    ),
    ask(
        "POST",
        "/v1/scrub-policy/try",
        ADMIN,
        "What would be stored of a record; nothing is",
        &[must("table", Kind::Text), must("record", Kind::Record)],
        &["rows", "quarantined", "tokens"],
    ),
    get("/v1/holds", ADMIN, "Legal holds", Answer::List),
    ask(
        "PUT",
        "/v1/holds/{name}",
        ADMIN,
        "Keeps days of a table, or of all, from being dropped",
        &[must("reason", Kind::Text), may("table", TEXT_OR_NULL), may("from", DAY_OR_NULL), may("to", DAY_OR_NULL)],
        &["name", "reason"],
    ),
    change("POST", "/v1/holds/{name}/release", ADMIN, "Releases a hold", Body::Json(&[must("reason", Kind::Text)])),
    op(
        ("GET", "/v1/tables/{table}/rows/{seq}/proof", QUERY, "The proof of a row, for `moneta-verify proof`"),
        NOTHING,
        Body::None,
        200,
        Answer::Other("text/plain; charset=utf-8"),
    ),
    op(
        ("GET", "/v1/alerts/{id}/proof", QUERY, "The proofs of an alert and its events, for `moneta-verify alert`"),
        NOTHING,
        Body::None,
        200,
        Answer::Other("text/plain; charset=utf-8"),
    ),
    op(
        ("POST", "/v1/receipts/proof", SIGNED_IN, "Proves what the log signed a receipt for"),
        NOTHING,
        Body::Bytes(&["text/plain"]),
        200,
        Answer::Object(&["promise", "reason", "proof"]),
    ),
    op(
        ("GET", "/ledger/{*path}", QUERY, "Checkpoints and tiles of the ledger, as C2SP tlog-tiles lays them out"),
        NOTHING,
        Body::None,
        200,
        Answer::Other("application/octet-stream"),
    ),
    ask(
        "POST",
        "/v1/quarantine/replay",
        ADMIN,
        "Decodes records of the quarantine again",
        &[
            may("all", Kind::Flag),
            may("seqs", Kind::Many(&LONG)),
            may("format", Kind::Text),
            may("reason", Kind::Text),
            may("source", Kind::Text),
            may("as_format", Kind::Text),
            may("as_table", Kind::Text),
        ],
        &[],
    ),
    op(("POST", "/v1/verify", QUERY, "Checks everything stored"), NOTHING, Body::None, 200, Answer::Object(&[])),
    ask(
        "POST",
        "/v1/snapshots",
        ADMIN,
        "Links every file as it is at this moment into a directory of the server",
        &[
            may("table", TEXT_OR_NULL),
            may("from", TIME_OR_NULL),
            may("to", TIME_OR_NULL),
            may("incident", Kind::OrNull(&LONG)),
        ],
        &["path", "root_size", "made_at"],
    ),
    change(
        "POST",
        "/v1/snapshots/end",
        ADMIN,
        "Removes the snapshot; null: the backup was given up",
        Body::Json(&[may("manifest_sha256", TEXT_OR_NULL)]),
    ),
];
