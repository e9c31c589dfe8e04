//! Choosing between values, tests for null and empty, and the functions the binder itself resolves.

use datafusion::functions::core::expr_fn::coalesce;

use super::row::{Answer, Cell};
use super::{Function, Kernel, Naming};
use moneta_event::ColumnType;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::new("iff", &["(condition: bool, then: branch, else: branch) -> common"], Kernel::Special)
        .aliases(&["iif"])
        .handles_nulls()
        .doc(
            "Gives the second argument where the condition holds, else the third.",
            &[("iff(1 > 2, 'a', 'b')", "\"b\""), ("iff(bool(null), 1, 2)", "2")],
        ),
    Function::new("case", &["(condition: bool, then: branch, rest: scalar...) -> common"], Kernel::Special)
        .handles_nulls()
        .doc(
            "Gives the value after the first condition that holds, else the last argument.",
            &[("case(1 > 2, 'a', 2 > 1, 'b', 'c')", "\"b\"")],
        ),
    Function::new(
        "coalesce",
        &["(value: common...) -> common"],
        Kernel::Native(
            |call| if call.return_type == ColumnType::String { first_text(call) } else { coalesce(call.args) },
            |args, _| {
                args.iter()
                    .copied()
                    .find(|cell| !cell.is_null() && *cell != Cell::Text(""))
                    .unwrap_or(Cell::Null)
                    .into()
            },
        ),
    )
    .handles_nulls()
    .doc(
        "Gives the first argument that is not null; for `string` the first that is not empty.",
        &[("coalesce(long(null), 2, 3)", "2"), ("coalesce('', 'a')", "\"a\"")],
    ),
    Function::new(
        "isnull",
        &["(value: scalar) -> bool"],
        Kernel::Native(
            |mut call| match call.types[0] {
                ColumnType::String => datafusion::logical_expr::lit(false),
                _ => call.args.swap_remove(0).is_null(),
            },
            |args, call| (args[0].is_null() && call.types[0] != ColumnType::String).into(),
        ),
    )
    .handles_nulls()
    .doc("Whether a value is null. A `string` never is.", &[("isnull(int(null))", "true"), ("isnull('')", "false")]),
    Function::new(
        "isnotnull",
        &["(value: scalar) -> bool"],
        Kernel::Native(
            |mut call| match call.types[0] {
                ColumnType::String => datafusion::logical_expr::lit(true),
                _ => call.args.swap_remove(0).is_not_null(),
            },
            |args, call| (!args[0].is_null() || call.types[0] == ColumnType::String).into(),
        ),
    )
    .aliases(&["notnull"])
    .handles_nulls()
    .doc("Whether a value is not null.", &[("isnotnull(1)", "true")]),
    Function::new(
        "isempty",
        &["(value: scalar) -> bool"],
        Kernel::Native(
            |mut call| {
                let value = call.args.swap_remove(0);
                match call.types[0] {
                    ColumnType::String => value.eq(datafusion::logical_expr::lit("")),
                    ColumnType::Dynamic => super::udf::RowFunction::call(
                        "kql_isempty",
                        |args, _| is_empty(args[0]).into(),
                        false,
                        true,
                        &call.types,
                        ColumnType::Bool,
                        vec![value],
                    ),
                    _ => value.is_null(),
                }
            },
            |args, _| is_empty(args[0]).into(),
        ),
    )
    .handles_nulls()
    .doc(
        "Whether a value is the empty text or null.",
        &[("isempty('')", "true"), ("isempty(dynamic(null))", "true"), ("isempty('a')", "false")],
    ),
    Function::new(
        "isnotempty",
        &["(value: scalar) -> bool"],
        Kernel::Native(
            |mut call| {
                let value = call.args.swap_remove(0);
                match call.types[0] {
                    ColumnType::String => value.not_eq(datafusion::logical_expr::lit("")),
                    ColumnType::Dynamic => super::udf::RowFunction::call(
                        "kql_isnotempty",
                        |args, _| (!is_empty(args[0])).into(),
                        false,
                        true,
                        &call.types,
                        ColumnType::Bool,
                        vec![value],
                    ),
                    _ => value.is_not_null(),
                }
            },
            |args, _| (!is_empty(args[0])).into(),
        ),
    )
    .aliases(&["notempty"])
    .handles_nulls()
    .doc("Whether a value is neither the empty text nor null.", &[("isnotempty('a')", "true")]),
    Function::row("not", &["(value: bool) -> bool"], |args, _| args[0].bool().map(|value| !value).into()).doc(
        "Turns a truth value round; null stays null.",
        &[("not(true)", "false"), ("not(bool(null))", "bool(null)")],
    ),
    Function::row("max_of", &["(value: common...) -> common"], |args, call| extreme(args, call.types, true))
        .handles_nulls()
        .doc("The greatest of its arguments.", &[("max_of(10, 1, -3, 17)", "17")]),
    Function::row("min_of", &["(value: common...) -> common"], |args, call| extreme(args, call.types, false))
        .handles_nulls()
        .doc("The least of its arguments.", &[("min_of(10, 1, -3, 17)", "-3")]),
    Function::new("toscalar", &["(query: scalar) -> dynamic"], Kernel::Special)
        .doc("The first column of the first row of a query, as a constant.", &[("toscalar(print 1)", "1")]),
    Function::new("materialize", &["(query: scalar) -> dynamic"], Kernel::Special)
        .doc("Names a query whose rows are used several times.", &[]),
    Function::new("column_names_of", &["(query: scalar) -> dynamic"], Kernel::Special)
        .doc("The names of a table's columns, as a constant array.", &[]),
    Function::new("column_ifexists", &["(name: string, default: scalar) -> $2"], Kernel::Special)
        .aliases(&["columnifexists"])
        .doc("The column of that name, or the default if the input has none.", &[]),
    Function::new("now", &["([offset: timespan]) -> datetime"], Kernel::Special)
        .doc("The time at which the query started, the same everywhere in it.", &[]),
    Function::new("ago", &["(offset: timespan) -> datetime"], Kernel::Special)
        .doc("The time at which the query started, less the offset.", &[]),
    Function::new("ingestion_time", &["() -> datetime"], Kernel::Special)
        .naming(Naming::Fixed("$IngestionTime"))
        .doc("When the row was made durable: the column `_IngestTime`.", &[]),
    Function::new("pack_all", &["([ignore_null_empty: bool]) -> dynamic"], Kernel::Special)
        .doc("All columns of the row as one bag.", &[]),
    Function::row("assert", &["(condition: bool, message: string) -> bool"], |args, _| args[0].into()).doc(
        "The condition itself; a constant one that does not hold fails the query with the message.",
        &[("assert(true, 'm')", "true")],
    ),
    Function::new("isfuzzy", &["() -> bool"], Kernel::Special).doc("Reserved.", &[]),
    Function::new("current_database", &["() -> string"], Kernel::Special)
        .doc("The name of the database the query runs in.", &[]),
    Function::new("current_principal", &["() -> string"], Kernel::Special).doc("Who runs the query.", &[]),
    Function::new("current_cluster_endpoint", &["() -> string"], Kernel::Special).doc("The name of the server.", &[]),
];

fn is_empty(cell: Cell<'_>) -> bool {
    matches!(cell, Cell::Null | Cell::Text("" | "\"\"" | "null"))
}

fn first_text(call: super::NativeCall) -> datafusion::logical_expr::Expr {
    let mut args = call.args.into_iter().rev();
    let last = args.next().unwrap_or_else(|| datafusion::logical_expr::lit(""));
    args.fold(last, |rest, arg| {
        datafusion::logical_expr::when(arg.clone().not_eq(datafusion::logical_expr::lit("")), arg)
            .otherwise(rest)
            .expect("a CASE with one branch is well formed")
    })
}

fn extreme<'a>(args: &[Cell<'a>], types: &[ColumnType], greatest: bool) -> Answer<'a> {
    let call = super::row::Call { types: &types[..1], return_type: types[0] };
    let mut best = Cell::Null;
    for cell in args.iter().copied().filter(|cell| !cell.is_null()) {
        let better = match super::compare::order(cell, best, &call) {
            _ if best.is_null() => true,
            Some(order) => {
                if greatest {
                    order.is_gt()
                } else {
                    order.is_lt()
                }
            }
            None => false,
        };
        if better {
            best = cell;
        }
    }
    best.into()
}
