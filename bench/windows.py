"""Measures rules over windows that overlap: a day looked back on, each hour.

    windows.py BINARIES_DIR

Each rule is evaluated over the same windows twice: by `moneta rules backfill`, where what the query makes of blocks and
row groups is kept from one window to the next, as rules that run have it; and as queries that each ask for their whole
window, with the same times. There is no peer: no other product at hand evaluates such rules.
"""

import datetime
import json
import random
import time

import harness
import inputs
import programs

ROWS = harness.setting("WINDOWS_ROWS", 1_000_000)
WINDOWS = harness.setting("WINDOWS", 48)
DAYS = 3
TABLE = "SecurityEvent"
RULES = {
    "few rows pass": f"{TABLE} | where CommandLine has 'Arg0' and Account has 'user007' | project TimeGenerated, Account, Computer",
    "count by account": f"{TABLE} | summarize n = count(), dcount(Computer) by Account | where n > 1000000",
    "two windows joined": f"let before = {TABLE} | where TimeGenerated < ago(1h) | summarize by Account, NewProcessName; "
    f"{TABLE} | where TimeGenerated > ago(1h) | summarize n = count() by Account, NewProcessName "
    "| join kind=leftanti before on Account, NewProcessName",
}
RULE = """id: {id}
name: {name}
description: A benchmark.
severity: Low
queryFrequency: 1h
queryPeriod: 1d
triggerOperator: gt
triggerThreshold: 10000
query: "{query}"
version: 1.0.0
kind: Scheduled
"""


def main() -> None:
    directory = programs.scratch()
    server = programs.Server(harness.binaries(), directory)
    client = server.client()
    end = inputs.now().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(hours=1)
    for body in inputs.bundles(lines(end), 5_000):
        client.post(f"/v1/ingest/{TABLE}", body, "application/x-ndjson")
    figures = {}
    for number, (name, query) in enumerate(RULES.items()):
        identity = f"7d0b1c52-3a3f-4d0e-8f0a-9a4f5e2b6c{number:02}"
        rule = directory / f"{number}.yaml"
        rule.write_text(RULE.format(id=identity, name=name, query=query))
        server.command("rules", "add", rule)
        figures[name] = compare(client, identity, query, end)
    harness.record("windows", {"rows": ROWS, "windows": WINDOWS} | figures)
    server.stop()
    programs.discard(directory)


def lines(end: datetime.datetime) -> list[bytes]:
    """Process events, spread over the days before the end in order."""
    pick, step = random.Random(5), datetime.timedelta(days=DAYS) / ROWS
    begin, made = end - datetime.timedelta(days=DAYS), []
    for number in range(ROWS):
        stamp = (begin + number * step).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        made.append(json.dumps(inputs.process_event(pick, stamp), separators=(",", ":")).encode() + b"\n")
    return made


def compare(client: programs.Client, identity: str, query: str, end: datetime.datetime) -> dict:
    """Milliseconds of a window, evaluated as one of many and on its own. The first of each fills the cache of columns."""
    first = end - datetime.timedelta(hours=WINDOWS)
    text = lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    kept, alone = [], []
    for _ in range(3):
        began = time.monotonic()
        body = json.dumps({"rules": [identity], "from": text(first), "to": text(end)}).encode()
        client.post("/v1/rules/backfill", body)
        kept.append((time.monotonic() - began) * 1_000 / WINDOWS)
        began = time.monotonic()
        for number in range(1, WINDOWS + 1):
            until = first + datetime.timedelta(hours=number)
            window_query(client, query, text(until - datetime.timedelta(days=1)), text(until))
        alone.append((time.monotonic() - began) * 1_000 / WINDOWS)
    return {
        "kept_ms": round(harness.median(kept), 2),
        "alone_ms": round(harness.median(alone), 2),
        "ratio": round(harness.median(alone) / harness.median(kept), 2),
    }


def window_query(client: programs.Client, query: str, begin: str, end: str) -> None:
    """A query with `now()` at the end of its window, as an evaluation asks it."""
    scope = {"query_now": end, "query_datetimescope_column": "TimeGenerated"}
    scope |= {"query_datetimescope_from": begin, "query_datetimescope_to": end}
    body = {"db": "moneta", "csl": query, "properties": json.dumps({"Options": scope})}
    client.post("/v1/rest/query", json.dumps(body).encode())


if __name__ == "__main__":
    main()
