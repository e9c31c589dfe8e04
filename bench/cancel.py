"""Measures how soon a running query ends once it is cancelled, and how soon its threads are idle again.

    cancel.py BINARIES_DIR

Every question here would run for minutes. Each is cancelled a second after it was asked, several times. The time runs
from sending the command to the end of the question's own answer. There is no peer: the engines that queries are
compared with run inside the benchmark, where there is no call to cancel.
"""

import json
import threading
import time
import uuid

import harness
import inputs
import programs

ROWS = harness.setting("CANCEL_ROWS", 200_000)
ROUNDS = harness.setting("CANCEL_ROUNDS", 5)
TABLE = "SecurityEvent"
QUERIES = {
    "cross_join": f"{TABLE} | extend k = 1 | join kind=inner ({TABLE} | extend k = 1) on k | summarize sum(strlen(strcat(CommandLine, CommandLine1)))",
    "expand": "range x from 1 to 100000000 step 1 | mv-expand y = range(1, 1000) | summarize sum(tolong(y))",
    "range": "range x from 1 to 100000000 step 1 | summarize dcount(hash_sha256(tostring(x)))",
    "regex": f"range x from 1 to 100000 step 1 | extend k = 1 | join kind=inner ({TABLE} | extend k = 1) on k | where strcat(CommandLine, x) matches regex @'(a|b|c)*[0-9]+x$' | count",
    "sort": f"range x from 1 to 1000 step 1 | extend k = 1 | join kind=inner ({TABLE} | extend k = 1) on k | sort by CommandLine desc, x asc | serialize n = row_number() | where n > 1000000000",
    "json": f"range x from 1 to 20000000 step 1 | extend d = parse_json(strcat('{{\"a\":[', x, ',2]}}')) | summarize sum(tolong(d.a[0]))",
}


def main() -> None:
    directory = programs.scratch()
    server = programs.Server(harness.binaries(), directory)
    client = server.client()
    for body in inputs.bundles(inputs.process_lines(ROWS), 5_000):
        client.post(f"/v1/ingest/{TABLE}", body, "application/x-ndjson")
    # What was sent is sealed meanwhile; that work is not the queries'.
    harness.wait_until("the server to rest", lambda: not is_busy(server), 120)
    figures = {}
    for name, text in QUERIES.items():
        rounds = [once(server, text) for _ in range(ROUNDS)]
        ends, idle = [end for end, _ in rounds], [idle for _, idle in rounds]
        figures[name] = {"ms_max": round(max(ends), 1), "ms_median": round(harness.median(ends), 1), "idle_ms_max": round(max(idle))}
    harness.record("cancel", {"rows": ROWS} | figures)
    server.stop()
    programs.discard(directory)


def once(server: programs.Server, text: str) -> tuple[float, float]:
    """Milliseconds from the command to the answer, and to the first tenth of a second in which the server rested."""
    answer, marker = {}, uuid.uuid4().hex
    asked = threading.Thread(target=ask, args=(server, f"{text} // {marker}", answer))
    asked.start()
    client = server.client()
    identity = harness.wait_until("the query to run", lambda: answer or running(client, marker), 10)
    time.sleep(1)
    if answer:
        raise SystemExit(f"the query ended by itself: {text}: {answer}")
    began = time.monotonic()
    manage(client, f'.cancel query "{identity}"')
    asked.join()
    taken = (time.monotonic() - began) * 1_000
    if "rows" in answer:
        raise SystemExit(f"the query was not cancelled: {text}")
    harness.wait_until(f"the server to rest after {text}", lambda: not is_busy(server), 60, pause=0)
    return taken, (time.monotonic() - began) * 1_000


def is_busy(server: programs.Server) -> bool:
    """Whether the server used more than a fifth of a processor for a tenth of a second."""
    before = server.cpu_now()
    time.sleep(0.1)
    return server.cpu_now() - before > 0.02


def ask(server: programs.Server, text: str, answer: dict) -> None:
    try:
        answer["rows"] = server.client().query(text)
    except SystemExit as error:
        answer["error"] = str(error)


def running(client: programs.Client, marker: str) -> str | None:
    """The id of the running query that has the marker in its text."""
    rows = manage(client, ".show running queries")
    return next((row[0] for row in rows if any(marker in str(cell) for cell in row)), None)


def manage(client: programs.Client, command: str) -> list[list]:
    body = json.dumps({"db": "moneta", "csl": command}).encode()
    return client.post("/v1/rest/mgmt", body)["Tables"][0]["Rows"]


if __name__ == "__main__":
    main()
