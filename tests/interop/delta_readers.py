"""Opens a table of the store with readers we did not write, and checks that all see the same rows.

    delta_readers.py TABLE_DIRECTORY NUM_ROWS FIRST_TIME EVENTS_DIRECTORY

DuckDB's own Delta extension comes from a server of its own, not from PyPI: where it is not installed already, DuckDB
reads the Parquet files that deltalake says belong to the table, which still proves that DuckDB reads the files.
The digit below a microsecond is in a companion column that none of these readers shows. The examples of `docs/delta.md`
are run as they stand, over this table; one of them fills texts that come with marks for what other columns hold, and with
it the second table is read, whose columns call for every encoding.
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


def main(table_dir: str, num_rows: int, first_time: str, events_dir: str) -> None:
    expected = datetime.datetime.fromisoformat(first_time).replace(tzinfo=datetime.timezone.utc)
    table = deltalake.DeltaTable(table_dir)
    arrow = table.to_pyarrow_table(columns=["TimeGenerated", "_Seq", "SyslogMessage", "HostIP"])
    first = arrow.sort_by("_Seq").slice(0, 1).to_pylist()[0]
    report("deltalake", arrow.num_rows, num_rows, first["TimeGenerated"], expected)
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
    assert len(examples) == 4, f"{len(examples)} examples in {DOCUMENT}"
    for example in examples:
        assert example.count(DOCUMENTED) == 1, example
        names = {}
        exec(compile(example.replace(DOCUMENTED, table_dir), str(DOCUMENT), "exec"), names)
        assert names["total"] == num_rows, f"{names['total']} rows, not {num_rows}, by\n{example}"
    print(f"{len(examples)} examples of {DOCUMENT.name} count {num_rows} rows")
    whole = names["whole"]
    for path in table.file_uris():
        rows = pyarrow.parquet.read_table(path)
        for raw, message in zip(whole(rows, "_Raw"), whole(rows, "SyslogMessage")):
            assert raw == f"<13>{message}", raw
    for path in deltalake.DeltaTable(events_dir).file_uris():
        check_events(path, whole)


def check_events(path: str, whole) -> None:
    """All three readers see the same values in every column, and texts with marks are filled to what they were."""
    rows = pyarrow.parquet.read_table(path)
    chunks = [pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(i) for i in range(rows.num_columns)]
    encodings = {encoding for chunk in chunks for encoding in chunk.encodings}
    wanted = {"RLE_DICTIONARY", "DELTA_BINARY_PACKED", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"}
    print(f"encodings: {sorted(encodings)}")
    assert wanted <= encodings, f"{wanted - encodings} not among {encodings}"
    frame = polars.read_parquet(path)
    for name in rows.column_names:
        # Each reader has a type of its own for times; main() compares those.
        if pyarrow.types.is_timestamp(rows.schema.field(name).type):
            continue
        values = rows[name].to_pylist()
        assert frame[name].to_list() == values, f"polars reads {name} otherwise"
        read = duckdb.connect().execute(f"select \"{name}\" from read_parquet('{path}')").fetchall()
        assert [value for (value,) in read] == values, f"duckdb reads {name} otherwise"
    for name in ("Data", "Message", "_Raw"):
        assert b"moneta.template" in rows.schema.field(name).metadata, f"{name} is whole"
    columns = zip(rows["Image"].to_pylist(), rows["Record"].to_pylist(), *(whole(rows, n) for n in ("Data", "Message", "_Raw")))
    for image, record, data, message, raw in columns:
        member = json.loads(data)["Member"]
        assert message == f"Created:\r\nImage: {image}\r\nMember: {member}\r\nRecord: {record}\r\n\x1a", message
        assert json.loads(raw) == {"Record": record, "Image": image, "Data": json.loads(data), "Message": message}, raw
    print(f"{rows.num_rows} events are the same to three readers, and whole")


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
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
    # Threads that the readers leave behind may abort the interpreter at its end, when all has been said.
    sys.stdout.flush()
    os._exit(0)
