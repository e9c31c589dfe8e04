//! Documentation examples whose documented result is wrong, each with the argument. They stay counted as misses: the
//! list says why nobody should change the language for them.

/// Id of the case, and why its documented result cannot be right.
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
];

/// The argument why a case is wrong, if it is known to be.
pub fn known_error(id: &str) -> Option<&'static str> {
    KNOWN_ERRORS.iter().find(|(known, _)| *known == id).map(|(_, argument)| *argument)
}

/// The ids listed.
pub fn known_ids() -> impl Iterator<Item = &'static str> {
    KNOWN_ERRORS.iter().map(|(id, _)| *id)
}
