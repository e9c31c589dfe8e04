"""Opens a table of the store with readers we did not write, and checks that all see the same rows.

    delta_readers.py TABLE_DIRECTORY NUM_ROWS FIRST_TIME

DuckDB's own Delta extension comes from a server of its own, not from PyPI: where it is not installed already, DuckDB
reads the Parquet files that deltalake says belong to the table, which still proves that DuckDB reads the files.
The digit below a microsecond is in a companion column that none of these readers shows. `_Raw` comes with marks for what
other columns hold; filling them is a few lines. Then the examples of `docs/delta.md` are run as they stand, over this table.
"""

import datetime
import json
import os
import pathlib
import re
import sys

import deltalake
import duckdb
import polars
import pyarrow.parquet


DOCUMENT = pathlib.Path(__file__).parent.parent.parent / "docs" / "delta.md"
DOCUMENTED = "/var/lib/moneta/store/Syslog"
"""The table that the examples name."""


def main(table_dir: str, num_rows: int, first_time: str) -> None:
    expected = datetime.datetime.fromisoformat(first_time).replace(tzinfo=datetime.timezone.utc)
    table = deltalake.DeltaTable(table_dir)
    arrow = table.to_pyarrow_table(columns=["TimeGenerated", "_Seq", "SyslogMessage", "HostIP"])
    first = arrow.sort_by("_Seq").slice(0, 1).to_pylist()[0]
    report("deltalake", arrow.num_rows, num_rows, first["TimeGenerated"], expected)
    for path in table.file_uris():
        check_originals(path)
    assert first["SyslogMessage"].startswith("message 0"), first
    assert first["HostIP"] is None, "a column that no row has is null"

    frame = polars.scan_delta(table_dir).select("TimeGenerated", "_Seq").sort("_Seq").collect()
    late = polars.scan_delta(table_dir).filter(polars.col("TimeGenerated") >= frame["TimeGenerated"][num_rows // 2])
    assert late.select(polars.len()).collect().item() == num_rows - num_rows // 2, "a filter by time"
    report("polars", frame.height, num_rows, frame["TimeGenerated"][0], expected)

    count, time, how = read_with_duckdb(table, table_dir)
    print(f"duckdb reads {how}")
    report("duckdb", count, num_rows, time.astimezone(datetime.timezone.utc), expected)

    examples = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 3, f"{len(examples)} examples in {DOCUMENT}"
    for example in examples:
        assert example.count(DOCUMENTED) == 1, example
        names = {}
        exec(compile(example.replace(DOCUMENTED, table_dir), str(DOCUMENT), "exec"), names)
        assert names["total"] == num_rows, f"{names['total']} rows, not {num_rows}, by\n{example}"
    print(f"{len(examples)} examples of {DOCUMENT.name} count {num_rows} rows")


def check_originals(path: str) -> None:
    rows = pyarrow.parquet.read_table(path, columns=["_Raw", "SyslogMessage"])
    for raw, message in zip(originals(path), rows["SyslogMessage"].to_pylist()):
        assert raw == f"<13>{message}", raw


def originals(path: str) -> list[str]:
    """`_Raw` of a segment, every mark filled (layout: crates/event/src/template.rs)."""
    rows = pyarrow.parquet.read_table(path)
    metadata = rows.schema.field("_Raw").metadata or {}
    columns = [rows[name].to_pylist() for name in json.loads(metadata.get(b"moneta.template", b"[]"))]

    def fill(row: int, text: str) -> str:
        def value(mark: re.Match) -> str:
            kind = mark[1]
            if kind == "\x1a":
                return kind
            if kind < "A":
                return columns[ord(kind) - ord("!")][row] or ""
            return json.dumps(columns[ord(kind) - ord("A")][row] or "", ensure_ascii=False)[1:-1]

        return re.sub("\x1a(.)", value, text, flags=re.DOTALL)

    return [fill(row, text) for row, text in enumerate(rows["_Raw"].to_pylist())]


def read_with_duckdb(table, table_dir):
    db = duckdb.connect()
    query = "select count(*), min_by(epoch_us(TimeGenerated), _Seq) from "
    try:
        db.execute("set autoinstall_known_extensions = false; load delta")
        source, how = f"delta_scan('{table_dir}')", "through its Delta extension"
    except duckdb.Error:
        files = ", ".join(f"'{path}'" for path in table.file_uris())
        source, how = f"read_parquet([{files}], union_by_name=true)", "the Parquet files (its Delta extension is not installed)"
    count, micros = db.execute(query + source).fetchone()
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return count, epoch + datetime.timedelta(microseconds=micros), how


def report(reader, count, num_rows, time, expected) -> None:
    print(f"{reader}: {count} rows, first at {time.isoformat()}")
    assert count == num_rows, f"{reader} counts {count} rows, not {num_rows}"
    assert time == expected, f"{reader} reads {time}, not {expected}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    # Threads that the readers leave behind may abort the interpreter at its end, when all has been said.
    sys.stdout.flush()
    os._exit(0)
