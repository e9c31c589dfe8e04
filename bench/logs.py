"""Generates the log of kusto19.py: rows of the shape of the public Kusto log benchmark, our own content. The same seed
gives the same rows. Requests pass through several components, so that rows of one request can be joined."""

import datetime
import json
import random

COMPONENTS = ["DOWNLOADER", "INGESTOR", "GATEWAY", "QUEUE", "COMPRESSOR", "CATALOG"]
SOURCES = ["FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH"]
LEVELS = ["Information"] * 90 + ["Warning"] * 7 + ["Error"] * 3
FORMATS = ["csv", "json", "parquet", "avro", "txt"]
BEGIN = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
DAY_MICROS = 86_400_000_000
# Rows of one request on average.
ROWS_OF_REQUEST = 8

INFORMATION = {
    "DOWNLOADER": "Downloaded blob https://account{a}.example/container{b}/part-{n:06}.{f} to local path /data/{b}/{n:06}",
    "INGESTOR": "IngestionCompletion: table=T{b} rows={n} duration={ms} bytes={size} extents={a}",
    "GATEWAY": "Request {n} from 10.{a}.{b}.{c} accepted, queue length {a}",
    "QUEUE": "Message {n} dequeued from ready-queue-{a} after {ms} ms, attempt 1",
    "COMPRESSOR": "Compressed {size} bytes of part-{n:06} into {n} bytes in {ms} ms",
    "CATALOG": "Catalog version {n} read, {a} tables changed",
}
WARNING = "Slow operation on node {a}: part-{n:06} took {ms} ms; possible time-out of call {n}"
ERRORS = [
    "Operation failed: Exception=System.IO.Timeout, HResult=0x8{n:07x}, part-{n:06}",
    "Operation failed: Exception=System.Net.Socket, remote host 10.{a}.{b}.{c} closed connection {n}",
    "Retry {a} of part-{n:06} gave up, message {n} moved to poison-queue-{b}",
]
RARE = "Transaction {n} was chosen as the victim of a deadlock on T{b}, duration={ms}"


def rows(count: int, seed: int = 19):
    """Rows as tuples: time in microseconds of the day, source, node, level, component, request, message, properties."""
    pick = random.Random(seed)
    requests = [f"{pick.getrandbits(128):032x}" for _ in range(max(1, count // ROWS_OF_REQUEST))]
    nodes = [f"{source}-NODE{number:03}" for source in SOURCES for number in range(40)]
    for number in range(count):
        node = nodes[int(len(nodes) * pick.random() ** 2)]
        component, level = COMPONENTS[pick.randrange(6)], LEVELS[pick.randrange(100)]
        # Requests live for a while: rows of one stand near each other.
        near = (number // ROWS_OF_REQUEST + pick.randrange(64)) % len(requests)
        parts = {
            "a": pick.randrange(16), "b": pick.randrange(64), "c": pick.randrange(256), "n": pick.randrange(1_000_000),
            "ms": pick.randrange(30_000), "size": pick.randrange(1, 50_000_000), "f": FORMATS[pick.randrange(5)],
        }
        text = INFORMATION[component] if level == "Information" else WARNING
        if level == "Error":
            text = RARE if pick.random() < 0.01 else ERRORS[pick.randrange(3)]
        time = (number * DAY_MICROS + pick.randrange(DAY_MICROS)) // count
        yield time, node.split("-")[0], node, level, component, requests[near], text.format(**parts), properties(component, parts)


def properties(component: str, parts: dict) -> str:
    """The JSON of a row's properties; numbers are texts, as in the log that this one is like."""
    if component in ("DOWNLOADER", "INGESTOR"):
        return json.dumps({
            "size": str(parts["size"]), "format": parts["f"], "rowCount": str(parts["n"]),
            "cpuTime": f"00:00:{parts['ms'] / 1000:09.6f}", "attempt": parts["a"], "nested": {"zone": f"z{parts['b'] % 4}"},
        }, separators=(",", ":"))
    return json.dumps({"attempt": parts["a"], "nested": {"zone": f"z{parts['b'] % 4}"}}, separators=(",", ":"))


COLUMNS = ["TimeGenerated", "Source", "Node", "Level", "Component", "ClientRequestId", "Message", "Properties"]


def stamp(micros: int) -> str:
    return (BEGIN + datetime.timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def lines(count: int, bundle: int):
    """Request bodies: one JSON object a line."""
    body = []
    for time, source, node, level, component, request, message, extra in rows(count):
        event = {"TimeGenerated": stamp(time), "Source": source, "Node": node, "Level": level, "Component": component,
                 "ClientRequestId": request, "Message": message}
        body.append(f'{json.dumps(event)[:-1]}, "Properties": {extra}}}\n'.encode())
        if len(body) == bundle:
            yield b"".join(body)
            body = []
    if body:
        yield b"".join(body)


def table(count: int):
    """The same rows as an Arrow table."""
    import pyarrow

    columns = list(zip(*rows(count)))
    begin = int(BEGIN.timestamp() * 1_000_000)
    times = pyarrow.array([begin + time for time in columns[0]], pyarrow.timestamp("us"))
    return pyarrow.table([times, *(pyarrow.array(column) for column in columns[1:])], COLUMNS)
