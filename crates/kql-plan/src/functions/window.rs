//! Functions that look at the rows around the current one, in the order of the last `sort`.

use super::{Function, Kernel};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::new("row_number", &["([start: integer], [restart: bool]) -> long"], Kernel::Window)
        .doc("The number of the row in the order of the rows, from 1.", &[]),
    Function::new("prev", &["(column: scalar, [offset: integer], [default: scalar]) -> $1"], Kernel::Window)
        .doc("The value of a column some rows before.", &[]),
    Function::new("next", &["(column: scalar, [offset: integer], [default: scalar]) -> $1"], Kernel::Window)
        .doc("The value of a column some rows later.", &[]),
    Function::new("row_cumsum", &["(term: summable, [restart: bool]) -> $1"], Kernel::Window)
        .doc("The sum of a column up to the row.", &[]),
    Function::new("row_rank_dense", &["(term: scalar, [restart: bool]) -> long"], Kernel::Window)
        .aliases(&["row_rank"])
        .doc("The rank of the row's value, without gaps.", &[]),
    Function::new("row_rank_min", &["(term: scalar, [restart: bool]) -> long"], Kernel::Window)
        .doc("The rank of the row's value, with gaps.", &[]),
    Function::new(
        "row_window_session",
        &["(value: datetime, from_start: timespan, from_last: timespan, [restart: bool]) -> datetime"],
        Kernel::Window,
    )
    .doc(
        "The start of the session a row belongs to. A session ends a distance after its start, a distance after its \
         last value, and where `restart` holds.",
        &[],
    ),
];
