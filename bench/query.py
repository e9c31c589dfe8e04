"""Measures KQL queries over generated rows: hot, that is in memory and not yet in a segment, and sealed.

    query.py BINARIES_DIR

A time is that of a whole call over HTTP, with the audit row that each query leaves. The peer is DuckDB, where Python
has it: the same questions in SQL over the same Parquet files, in process, without any call. DuckDB sees microseconds
and columns only; Moneta checks the checksum of what it reads. Numbers of rows are compared, and printed when they
differ. There is no cold case: dropping the page cache takes rights that a benchmark should not need.
"""

import os
import time

import harness
import inputs
import programs

ROWS = harness.setting("ROWS", 1_000_000)
RUNS = harness.setting("QUERY_RUNS", 15)
BUNDLE = 5_000
TABLE = "SecurityEvent"

def queries() -> list[list[str]]:
    """Name, KQL and SQL of each query."""
    blocks = (harness.ROOT / "bench" / "queries.txt").read_text().strip().split("\n\n")[1:]
    return [block.split("\n") for block in blocks]


QUERIES = queries()


def main() -> None:
    directory = programs.scratch()
    hot = {"MONETA_STORE__SEAL_BYTES": str(1 << 40), "MONETA_STORE__SEAL_AGE_SECONDS": "86400"}
    server = programs.Server(harness.binaries(), directory, hot)
    fill(server)
    answers = {"hot": ask(server)}
    report("hot", answers["hot"], server)
    server.stop()
    server = programs.Server(harness.binaries(), directory)
    answers["sealed"] = ask(server)
    report("sealed", answers["sealed"], server)
    server.stop()
    answers["duckdb"] = ask_duckdb(directory / "data" / "store" / TABLE)
    compare(answers)
    programs.discard(directory)


def fill(server: programs.Server) -> None:
    client, began = server.client(), time.monotonic()
    for body in inputs.bundles(inputs.process_lines(ROWS), BUNDLE):
        client.post(f"/v1/ingest/{TABLE}", body, "application/x-ndjson")
    print(f"{ROWS:,} rows sent in {time.monotonic() - began:.0f} s, load {harness.load():.1f}", flush=True)


def times(run) -> tuple[list[float], int]:
    """One call to warm up, then the measured ones: milliseconds, and the number of rows."""
    num_rows, taken = len(run()), []
    for _ in range(RUNS):
        began = time.monotonic()
        run()
        taken.append((time.monotonic() - began) * 1_000)
    return taken, num_rows


def ask(server: programs.Server) -> dict:
    client, result = server.client(), {}
    for name, kql, _ in QUERIES:
        before = server.cpu_now()
        taken, num_rows = times(lambda kql=kql: client.query(f"{TABLE} {kql}"))
        cpu = (server.cpu_now() - before) / (RUNS + 1) * 1_000
        result[name] = {"p50": harness.percentile(taken, 50), "p95": harness.percentile(taken, 95), "cpu": cpu, "rows": num_rows}
    return result


def ask_duckdb(table) -> dict | None:
    try:
        import duckdb
        import pyarrow  # noqa: F401  its tables are how DuckDB returns rows here
    except ImportError:
        return print("query/duckdb: this Python has no duckdb and pyarrow")
    connection = duckdb.connect()
    connection.execute(f"set threads = {len(harness.cores()[0] or os.sched_getaffinity(0))}; set TimeZone = 'UTC'")
    connection.execute(f"create view t as select * from read_parquet('{table}/*/*.parquet', union_by_name = true)")
    result = {}
    for name, _, sql in QUERIES:
        taken, num_rows = times(lambda sql=sql: connection.sql(sql).to_arrow_table())
        result[name] = {"p50": harness.percentile(taken, 50), "p95": harness.percentile(taken, 95), "rows": num_rows}
    harness.record("query/duckdb", {"version": duckdb.__version__, "rows": ROWS} | flat(result))
    return result


def flat(answers: dict) -> dict:
    """Milliseconds of every query."""
    return {name: {key: round(value, 2) for key, value in one.items() if key != "rows"} for name, one in answers.items()}


def report(state: str, answers: dict, server: programs.Server) -> None:
    harness.record(f"query/{state}", {"rows": ROWS, "peak_rss_mib": server.peak_rss_mib} | flat(answers))


def compare(answers: dict) -> None:
    """A table for people, and where numbers of rows differ."""
    peer = answers["duckdb"] or {}
    print(f"{'ms p50/p95':<16}{'hot':>16}{'sealed':>16}{'duckdb':>16}{'sealed/duckdb':>16}")
    ratios = []
    for name, _, _ in QUERIES:
        hot, sealed, other = answers["hot"][name], answers["sealed"][name], peer.get(name)
        line = f"{name:<16}" + "".join(f"{one['p50']:>8.1f}/{one['p95']:<7.1f}" for one in (hot, sealed, other) if one)
        if other:
            ratios.append(sealed["p50"] / other["p50"])
            line += f"{ratios[-1]:>12.2f}"
        print(line)
        for state, one in (("hot", hot), ("duckdb", other or sealed)):
            # The range of time moves with the clock.
            if one["rows"] != sealed["rows"] and name != "time_range":
                print(f"  rows differ: sealed {sealed['rows']}, {state} {one['rows']}")
    if ratios:
        harness.record("query/ratio", {"sealed_to_duckdb_geometric_mean": harness.geometric_mean(ratios)})


if __name__ == "__main__":
    main()
