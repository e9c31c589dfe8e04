"""Opens tables of the store with Apache Spark, and checks that it sees the rows that the Delta log lists, and no others.

    spark_reader.py FIRST_TIME EVENTS_DIRECTORY (TABLE_DIRECTORY NUM_ROWS)...

Spark's reader of Delta logs is a library of its own that comes from Maven, not with the package from PyPI: Spark reads the
Parquet files that deltalake says belong to the table, which proves that Spark reads the files, not that it reads the log.
"""

import datetime
import json
import os
import sys

import deltalake
import pyarrow
import pyarrow.parquet
from pyspark.sql import SparkSession
from pyspark.sql import functions
from pyspark.sql.types import StructType


def main(first_time: str, events_dir: str, *tables: str) -> None:
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        # A minute's work on a few thousand rows: no compilation that pays off later, many small files in one task.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.files.openCostInBytes", "0")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", os.getcwd())
        .getOrCreate()
    )
    print(f"spark {spark.version} reads the Parquet files that the Delta log lists (its Delta reader is not on PyPI)")
    first = datetime.datetime.fromisoformat(first_time).replace(tzinfo=datetime.timezone.utc)
    for table_dir, num_rows in zip(tables[::2], tables[1::2]):
        check_table(spark, table_dir, int(num_rows), first)
    check_events(spark, events_dir)


def read(spark, table: deltalake.DeltaTable):
    """The files of a table, with the columns that its log names: a file has those that any row of it has."""
    schema = StructType.fromJson(json.loads(table.schema().to_json()))
    return spark.read.schema(schema).parquet(*table.file_uris())


def check_table(spark, table_dir: str, num_rows: int, first: datetime.datetime) -> None:
    table = deltalake.DeltaTable(table_dir)
    frame = read(spark, table)
    micros = functions.unix_micros("TimeGenerated")
    rows = frame.select("_Seq", micros, "SyslogMessage", "HostIP").orderBy("_Seq").collect()
    assert len(rows) == num_rows, f"{len(rows)} rows, not {num_rows}"
    arrow = table.to_pyarrow_table(columns=["_Seq", "TimeGenerated", "SyslogMessage", "HostIP"]).sort_by("_Seq")
    times = arrow["TimeGenerated"].cast(pyarrow.timestamp("us", "UTC")).cast(pyarrow.int64())
    expected = zip(arrow["_Seq"].to_pylist(), times.to_pylist(), arrow["SyslogMessage"].to_pylist(), arrow["HostIP"].to_pylist())
    assert [tuple(row) for row in rows] == list(expected), "other rows than deltalake reads"
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    time = epoch + datetime.timedelta(microseconds=rows[0][1])
    assert time == first, f"the first row is of {time}, not {first}"
    half = rows[num_rows // 2][1]
    late = frame.where(functions.col("TimeGenerated") >= functions.timestamp_micros(functions.lit(half))).count()
    assert late == sum(row[1] >= half for row in rows), "a filter by time"
    print(f"spark: {num_rows} rows in {len(table.file_uris())} files, first at {time.isoformat()}")


def check_events(spark, events_dir: str) -> None:
    """Every column has the same values as pyarrow reads, in every encoding there is, by either of Spark's readers: its own,
    and that of Parquet's makers."""
    table = deltalake.DeltaTable(events_dir)
    [path] = table.file_uris()
    arrow = pyarrow.parquet.read_table(path)
    # Each reader has a type of its own for times; check_table() compares those.
    names = [field.name for field in arrow.schema if not pyarrow.types.is_timestamp(field.type)]
    names = [field.name for field in table.schema().fields if field.name in names]
    for is_own in (True, False):
        spark.conf.set("spark.sql.parquet.enableVectorizedReader", str(is_own).lower())
        rows = read(spark, table).orderBy("_Seq").select(*(f"`{name}`" for name in names)).collect()
        for place, name in enumerate(names):
            assert [row[place] for row in rows] == arrow[name].to_pylist(), f"spark reads {name} otherwise"
        print(f"spark: {len(rows)} events, {len(names)} columns as pyarrow reads them, enableVectorizedReader={is_own}")


if __name__ == "__main__":
    main(*sys.argv[1:])
