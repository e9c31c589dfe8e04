//! Named limits of the parser: what a query text may cost, whoever sent it.

/// The greatest nesting of brackets, calls, paths, operator chains and subqueries.
///
/// The parser and every walk over its tree recurse once per level, so this bounds the stack (see the test
/// `deepest_accepted_query_fits_a_small_stack`). Queries written by people stay below 40.
pub const NESTING_DEPTH_MAX: usize = 128;

/// The greatest query text in bytes. The longest public query we know of has 125 kB; Kusto refuses above 2 MiB.
pub const QUERY_SIZE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The greatest number of diagnostics of one text: after this many, more would only repeat the first mistake.
pub const DIAGNOSTICS_MAX: usize = 100;
