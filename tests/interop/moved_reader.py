"""Reads a table of Moneta whose segments lie partly in a bucket: deltalake for the list, Polars for the rows.

usage: moved_reader.py TABLE_DIR ENDPOINT
prints the number of rows, and how many of the files lie in the bucket
"""

import sys

import polars
import pyarrow
from deltalake import DeltaTable

table, endpoint = sys.argv[1:]
bucket = {
    "aws_endpoint_url": endpoint,
    "aws_region": "us-east-1",
    "aws_access_key_id": "K",
    "aws_secret_access_key": "S",
    "aws_allow_http": "true",
}
listed = pyarrow.table(DeltaTable(table).get_add_actions())["path"].to_pylist()
moved = [path for path in listed if "://" in path]
here = [f"{table}/{path}" for path in listed if "://" not in path]
rows = [polars.scan_parquet(path, storage_options=bucket) for path in moved] + [polars.scan_parquet(path) for path in here]
count = polars.concat(rows, how="diagonal").select(polars.len()).collect().item()
print(f"{count} rows, {len(moved)} files in the bucket")
