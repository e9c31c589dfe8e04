"""Measures five aggregations over nested JSON, beside ClickHouse's JSON type and DuckDB.

    json5.py BINARIES_DIR

Events are those of the corpus (OTRF Security-Datasets under MONETA_CORPUS), repeated with other hosts and users up to
the wanted number; without a corpus they are generated. The whole event is one `dynamic` column.
"""

import json
import os
import pathlib
import random
import zipfile

os.environ.setdefault("MONETA_BENCH_PIN", "0")

import engines  # noqa: E402
import harness  # noqa: E402
import inputs  # noqa: E402
import programs  # noqa: E402

EVENTS = harness.setting("JSON_EVENTS", 200_000)
ROUNDS = harness.setting("JSON_ROUNDS", 7)
BUNDLE = 1_000
# Events of the corpus held in memory, about 10 KiB each; more are these again.
BASE_MAX = 200_000
# Bytes of one event at most: some hold whole scripts.
EVENT_BYTES_MAX = 16_384


def corpus_events():
    """Events of the archives of the corpus, as Python objects."""
    root = harness.corpus("otrf")
    for path in sorted(root.rglob("*.zip")) if root else []:
        try:
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith(".json"):
                        yield from parsed(archive.open(name))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
            continue


def parsed(lines):
    for line in lines:
        if len(line) > EVENT_BYTES_MAX:
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def events(count: int):
    """The wanted number of events; those of a later round have other hosts and users."""
    base, pick = [], random.Random(5)
    for event in corpus_events():
        base.append(event)
        if len(base) == min(count, BASE_MAX):
            break
    if not base:
        stamps = (inputs.stamp(number, count, inputs.now()) for number in range(count))
        base = [inputs.process_event(pick, time) for time in stamps]
    for number in range(count):
        event, copy = dict(base[number % len(base)]), number // len(base)
        event["EventID"] = str(event.get("EventID", ""))
        # A number of the event keeps the users of each copy apart.
        if copy and isinstance(event.get("SubjectUserName"), str):
            event["SubjectUserName"] = f"{event['SubjectUserName']}-{copy}"
        yield {key: value for key, value in event.items() if key.isidentifier()}


def main() -> None:
    if not engines.present():
        return print(f"{pathlib.Path(__file__).stem}: this Python has none of the engines of bench/requirements.txt")
    directory, bodies = programs.scratch(), []
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    client = server.client()
    time, body = inputs.stamp(0, 1, inputs.now()), []
    for event in events(EVENTS):
        text = json.dumps(event, separators=(",", ":"))
        bodies.append(text)
        body.append(f'{{"TimeGenerated":"{time}","Body":{text}}}\n'.encode())
        if len(body) == BUNDLE:
            client.post("/v1/ingest/Events_CL", b"".join(body), "application/x-ndjson")
            body = []
    if body:
        client.post("/v1/ingest/Events_CL", b"".join(body), "application/x-ndjson")
    server.stop()
    import pyarrow
    import pyarrow.parquet

    parquet = directory / "events.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"Body": bodies}), parquet, compression="zstd")
    raw, bodies = sum(map(len, bodies)), None
    peers = [peer for peer in engines.present() if peer.name in ("chdb", "duckdb")]
    asked = engines.questions("json5.txt", peers, "Body", {})
    others = [peer(directory, "events", parquet, "Body", "tuple()" if peer.name == "chdb" else "1") for peer in peers]
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    stored = programs.stored_bytes(server.data)["store"] / EVENTS
    print(f"json5: {EVENTS:,} events of {raw / EVENTS:.0f} bytes, {stored:.0f} stored bytes an event", flush=True)
    engines.compare("json5", [engines.Moneta(server), *others], asked, ROUNDS)
    server.stop()
    programs.discard(directory)


if __name__ == "__main__":
    main()
