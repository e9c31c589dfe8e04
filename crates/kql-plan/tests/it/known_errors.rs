//! Cases whose expected result is wrong, each with the argument. They stay counted as misses and are named in the
//! table: the list says why nobody should change the language for them.

/// Id of the case, and why its expected result cannot be right.
const KNOWN_ERRORS: &[(&str, &str)] = &[
    (
        "loco/B:f2d9b7e0",
        "the table holds 1970-01-01, and ten hours before that is 1969-12-31 14:00; the expected 2022 is not in the query",
    ),
    (
        "loco/BinOp_Modulo1:1560e318",
        "the language reference says that the remainder is never negative and gives -14 % 12 as 10",
    ),
    (
        "loco/BuiltIns_substring_Scalar:755cbb93",
        "the language reference counts a negative start from the end, so substring('abc', -1) is 'c'",
    ),
    (
        "loco/Cast_ToString_Scalar:9bf10bb7",
        "the language reference prints a datetime as 2023-08-30T23:00:00.0000000Z, never in the form of a locale",
    ),
    (
        "docs/geo-line-densify-function:8fa575ca",
        "the result is a dynamic value with the documented points; the documented text has blanks and a trailing zero (40.796860) that no number in JSON keeps",
    ),
    ("docs/geo-polygon-centroid-function:8155a169", "the documented text is no JSON: its opening brace is missing"),
    (
        "docs/geospatial-joins:4189bc65",
        "the documented coordinates of `b` are those of `a`; the table of the query gives `b` others",
    ),
    (
        "docs/functions-library/time-window-rolling-avg-fl:27570a1a",
        "datetime(8:00) is eight o'clock of the day of the query; the documented rows have the day on which the page was written",
    ),
    ("docs/functions-library/tokenize-fl:0e9ada50", "neither text has six tokens, so there is no sixth column to fill"),
    ("docs/series-iir-function:11d846ab", "the documented rows are the first four of the ten that the query gives"),
    (
        "docs/join-innerunique:89e65429",
        "the language reference says that innerunique keeps any one row of each key; here it is the first, which the filter then removes",
    ),
    (
        "docs/functions/user-defined-functions:3657cc53",
        "the page gives the query as an example of what is not supported: a row's value inside toscalar()",
    ),
    (
        "docs/functions/user-defined-functions:c77df8df",
        "the page gives the query as an example of what is not supported: a function with rows called for each row",
    ),
    (
        "docs/toscalar-function:e50569c6",
        "the page gives the query as an example of one that fails: a row's value inside toscalar()",
    ),
    (
        "docs/assert-function:05cf1efa",
        "the page gives the query as an example of one that fails with the message of its assertion",
    ),
    (
        "docs/assert-function:8dd249a3",
        "the page says that the condition is checked before the query runs and fails it; this one is false",
    ),
    (
        "docs/base64-encode-fromguid-function:3d9401b7",
        "the page says that the query is an error, because a text is no guid",
    ),
    (
        "real/azure:f9ef75133d",
        "no table of the union exists, and the language reference says that isfuzzy=true then still is an error",
    ),
    ("bind/op/42", "the language reference says that kind=inner keeps only the columns common to all tables"),
];

/// The argument why a case is wrong, if it is known to be.
pub fn known_error(id: &str) -> Option<&'static str> {
    KNOWN_ERRORS.iter().find(|(known, _)| *known == id).map(|(_, argument)| *argument)
}

/// The ids listed.
pub fn known_ids() -> impl Iterator<Item = &'static str> {
    KNOWN_ERRORS.iter().map(|(id, _)| *id)
}
