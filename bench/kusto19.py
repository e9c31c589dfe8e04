"""Measures nineteen log queries of the kind of the public Kusto log benchmark, beside other engines.

    kusto19.py BINARIES_DIR

Rows are generated (logs.py), sent to a server, and sealed; then the server starts anew. Peers get the same rows. Every
engine may use all cores. A time counts only if the answer is that of Moneta.
"""

import os
import pathlib

os.environ.setdefault("MONETA_BENCH_PIN", "0")

import engines  # noqa: E402
import harness  # noqa: E402
import logs  # noqa: E402
import programs  # noqa: E402

# 3,800,000 is the full size.
ROWS = harness.setting("LOG_ROWS", 380_000)
ROUNDS = harness.setting("LOG_ROUNDS", 7)
BUNDLE = 5_000


def main() -> None:
    if not engines.present():
        return print(f"{pathlib.Path(__file__).stem}: this Python has none of the engines of bench/requirements.txt")
    directory = programs.scratch()
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    client = server.client()
    for body in logs.lines(ROWS, BUNDLE):
        client.post("/v1/ingest/Logs_CL", body, "application/x-ndjson")
    server.stop()
    table = logs.table(ROWS)
    import pyarrow.parquet

    parquet = directory / "logs.parquet"
    pyarrow.parquet.write_table(table, parquet, compression="zstd")
    peers = engines.present()
    request = table.column("ClientRequestId")[ROWS // 2].as_py()
    del table
    asked = engines.questions("kusto19.txt", peers, "Properties", {"request": request})
    others = [peer(directory, "logs", parquet, "Properties", "TimeGenerated") for peer in peers]
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    print(f"kusto19: {ROWS:,} rows, {programs.stored_bytes(server.data)['store'] / ROWS:.0f} stored bytes a row", flush=True)
    engines.compare("kusto19", [engines.Moneta(server), *others], asked, ROUNDS)
    server.stop()
    programs.discard(directory)


if __name__ == "__main__":
    main()
