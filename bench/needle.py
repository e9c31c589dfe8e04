"""Measures finding one word among many events, and what an event takes on disk, beside ClickHouse's text index (chdb).

    needle.py BINARIES_DIR [plain] [random]

`plain` are the events of the corpus (as json5.py takes them), `random` events whose values repeat nowhere. The whole event
is one `dynamic` column with a term index, in ClickHouse one text column with a text index of the same tokens. Forty words,
from none to a tenth of the events, are counted and the first hundred events with each are fetched; a time counts only when
both engines count alike. Bytes are those of the store and its signed tree after a clean shutdown, of ClickHouse's active
parts, and, as a bound that no search can use, of the raw lines under zstd -9.
"""

import collections
import json
import os
import pathlib
import random
import re
import time

os.environ.setdefault("MONETA_BENCH_PIN", "0")

import engines  # noqa: E402
import harness  # noqa: E402
import inputs  # noqa: E402
import json5  # noqa: E402
import programs  # noqa: E402

ROUNDS = harness.setting("NEEDLE_ROUNDS", 7)
BUNDLE = 1_000
WORDS = 40
# Shares of the events that the words are in, from the rarest to the commonest.
SHARES = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
TOKEN = re.compile(r"[A-Za-z0-9]{3,}")


def plain():
    return json5.events()


def lane_random():
    pick = random.Random(11)
    stamps = (inputs.stamp(number, json5.EVENTS, inputs.now()) for number in range(json5.EVENTS))
    return (inputs.process_event(pick, time, "random") for time in stamps)


LANES = {"plain": plain, "random": lane_random}


def words_of(bodies: list[str]) -> list[str]:
    """Words of many frequencies, some of which no event has; always the same for the same events."""
    counts = collections.Counter()
    for body in bodies:
        counts.update({token.lower() for token in TOKEN.findall(body)})
    pick, words = random.Random(7), ["nosuchwordanywhere", "zzzzabsent"]
    each = (WORDS - len(words)) // (len(SHARES) - 1) + 1
    for low, high in zip(SHARES, SHARES[1:]):
        fitting = sorted(word for word, count in counts.items() if low < count / len(bodies) <= high)
        words += pick.sample(fitting, min(each, len(fitting)))
    return words[:WORDS]


class Chdb:
    """A MergeTree with a text index over the same tokens; the cache of past filters is off."""

    def __init__(self, directory: pathlib.Path, bodies: list[str]):
        import pyarrow
        import pyarrow.parquet
        from chdb import session

        parquet = directory / "events.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"Body": bodies}), parquet)
        self.session = session.Session(str(directory / "chdb"))
        self.session.query(f"set max_threads = {engines.THREADS}, use_query_condition_cache = 0")
        self.session.query("create database if not exists bench")
        self.session.query("use bench")
        index = "index words(Body) type text(tokenizer = 'splitByNonAlpha', preprocessor = lower(Body))"
        self.session.query(
            f"create table events (Body String codec(ZSTD(1)), {index}) engine = MergeTree order by tuple()"
        )
        self.session.query(f"insert into events select assumeNotNull(Body) from file('{parquet}', Parquet)")
        self.session.query("optimize table events final")
        parquet.unlink()

    def stored_bytes(self) -> tuple[int, int]:
        """Of everything, and of the index alone."""
        columns = "sum(bytes_on_disk), sum(secondary_indices_compressed_bytes)"
        answer = self.session.query(f"select {columns} from system.parts where active and table = 'events'", "JSONCompact")
        whole, index = json.loads(answer.data())["data"][0]
        return int(whole), int(index)

    def ask(self, what: str, word: str) -> tuple[float, int]:
        limit = " limit 100" if what == "Body" else ""
        began = time.perf_counter()
        answer = self.session.query(f"select {what} from events where hasAllTokens(Body, ['{word}']){limit}", "JSONCompact")
        data = answer.data()
        taken = time.perf_counter() - began
        rows = json.loads(data)["data"]
        return taken, int(rows[0][0]) if what == "count()" else len(rows)

    def count(self, word: str) -> tuple[float, int]:
        return self.ask("count()", word)

    def take(self, word: str) -> tuple[float, int]:
        return self.ask("Body", word)


class Moneta:
    """Our server, over HTTP, with its audit row for each question."""

    def __init__(self, server: programs.Server):
        self.client = server.client()

    def ask(self, text: str) -> tuple[float, list]:
        began = time.perf_counter()
        rows = self.client.query(text)
        return time.perf_counter() - began, rows

    def count(self, word: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where Body has '{word}' | count")
        return taken, rows[0][0]

    def take(self, word: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where Body has '{word}' | project Body | take 100")
        return taken, len(rows)


def fill(server: programs.Server, bodies: list[str]) -> None:
    client, time_text = server.client(), inputs.stamp(0, 1, inputs.now())
    for start in range(0, len(bodies), BUNDLE):
        lines = [f'{{"TimeGenerated":"{time_text}","Body":{body}}}\n' for body in bodies[start : start + BUNDLE]]
        client.post("/v1/ingest/Events_CL", "".join(lines).encode(), "application/x-ndjson")


def packed_bytes(bodies: list[str]) -> int:
    """The raw lines under zstd -9."""
    import pyarrow

    return len(pyarrow.Codec("zstd", compression_level=9).compress("\n".join(bodies).encode(), asbytes=True))


def measure(lane: str) -> None:
    directory = programs.scratch()
    bodies = [json.dumps(event, separators=(",", ":")) for event in LANES[lane]()]
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    fill(server, bodies)
    server.stop()
    stored = programs.stored_bytes(server.data)
    events, words = len(bodies), words_of(bodies)
    figures = {
        "events": events,
        "raw_bytes_per_event": sum(map(len, bodies)) / events,
        "bytes_per_event": (stored["store"] + stored["ledger"]) / events,
        "zstd9_bytes_per_event": packed_bytes(bodies) / events,
    }
    peer = Chdb(directory, bodies)
    whole, index = peer.stored_bytes()
    figures |= {"chdb_bytes_per_event": whole / events, "chdb_index_bytes_per_event": index / events}
    figures["bytes_ratio_to_chdb"] = figures["bytes_per_event"] / figures["chdb_bytes_per_event"]
    del bodies
    server = programs.Server(harness.binaries(), directory, engines.unscrubbed(directory))
    figures |= compare(Moneta(server), peer, words)
    server.stop()
    harness.record(f"needle/{lane}", figures)
    programs.discard(directory)


def compare(ours: Moneta, theirs: Chdb, words: list[str]) -> dict:
    """Both engines asked in turns for each word."""
    times = {name: [] for name in ("count", "take", "chdb_count", "chdb_take")}
    ratios, disagreeing = {"count": [], "take": []}, []
    for word in words:
        for question in ("count", "take"):
            own, other = [], []
            for _ in range(ROUNDS):
                (own_time, own_found), (other_time, other_found) = getattr(ours, question)(word), getattr(theirs, question)(word)
                own.append(own_time)
                other.append(other_time)
            if own_found != other_found:
                disagreeing.append(f"{word}: {own_found} and {other_found}")
                continue
            times[question] += own
            times[f"chdb_{question}"] += other
            ratios[question].append(harness.median(other) / harness.median(own))
    figures = {"words": len(words), "disagreeing": disagreeing}
    for name, seconds in times.items():
        figures[f"{name}_p50_ms"] = harness.median(seconds) * 1e3
        figures[f"{name}_p95_ms"] = harness.percentile(seconds, 95) * 1e3
    for question, values in ratios.items():
        if values:
            figures[f"{question}_ahead_of_chdb"] = harness.geometric_mean(values)
    return figures


def main() -> None:
    if "chdb" not in [peer.name for peer in engines.present()]:
        return print("needle: this Python has no chdb; see bench/requirements.txt")
    for lane in LANES:
        if harness.wanted(lane):
            measure(lane)


if __name__ == "__main__":
    main()
