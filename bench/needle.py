"""Measures finding one word among many events, and what an event takes on disk, beside ClickHouse's text index (chdb) and
tantivy.

    needle.py BINARIES_DIR [plain] [random]

`plain` are the events of the corpus (as json5.py takes them), `random` events whose values repeat nowhere. The whole event
is one `dynamic` column with a term index, in ClickHouse one text column with a text index of the same words, in tantivy the
index alone. Forty words, from none to a tenth of the events, are counted and the first hundred events with each are fetched;
some parts of words are counted too. A time counts only when all engines count alike. Bytes are those of the store and its
signed tree after a clean shutdown, of ClickHouse's active parts, and, as a bound that no search can use, of the raw lines
under zstd -9.

With MONETA_BENCH_NEEDLE_DIR the stores are made below that directory and stay; the next run only asks them.
"""

import itertools
import json
import os
import pathlib
import random

os.environ.setdefault("MONETA_BENCH_PIN", "0")

import harness  # noqa: E402
import inputs  # noqa: E402
import json5  # noqa: E402
import programs  # noqa: E402
import searchers  # noqa: E402

# Events of each lane. `random` has no more than a fourth: nothing in it repeats, and every engine takes long for it.
EVENTS = harness.setting("NEEDLE_EVENTS", 1_000_000)
ROUNDS = harness.setting("NEEDLE_ROUNDS", 5)
PIECE = 50_000
WORDS = 40
# Shares of the events that the words are in, from the rarest to the commonest.
SHARES = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
ABSENT = ["nosuchwordanywhere", "zzzzabsent"]
# Words of which a part is sought, and what is cut off at each end.
PARTS, CUT = 4, 2
COLUMNS_SHOWN = 8


def plain(count: int):
    """Events of the corpus, again and again with other users."""
    return json5.events(count)


def lane_random(count: int):
    pick = random.Random(11)
    stamps = (inputs.stamp(number, count, inputs.now()) for number in range(count))
    return (inputs.process_event(pick, time, "random") for time in stamps)


LANES = {"plain": (plain, EVENTS), "random": (lane_random, EVENTS // 4)}


def packed_bytes(bodies: list[str]) -> int:
    """The raw lines under zstd -9."""
    import pyarrow

    return len(pyarrow.Codec("zstd", compression_level=9).compress("\n".join(bodies).encode(), asbytes=True))


def fill(lane: str, parts: list) -> dict:
    """Gives the events of a lane to all engines, piece by piece; returns what is known of the events."""
    make, count = LANES[lane]
    known = {"events": count, "raw_bytes": 0, "zstd9_bytes": 0}
    events = make(count)
    while piece := [json.dumps(event, separators=(",", ":")) for event in itertools.islice(events, PIECE)]:
        known["raw_bytes"] += sum(len(body.encode()) for body in piece)
        known["zstd9_bytes"] += packed_bytes(piece)
        for engine in parts:
            took = harness.seconds_of(lambda: engine.add(piece))
            known[f"{engine.name}_fill_seconds"] = known.get(f"{engine.name}_fill_seconds", 0.0) + took
    for engine in parts:
        known[f"{engine.name}_fill_seconds"] += harness.seconds_of(engine.finish)
    return known


def words_of(names, count: int) -> list[str]:
    """Words of many frequencies, some of which no event has."""
    words = list(ABSENT)
    each = (WORDS - len(words)) // (len(SHARES) - 1) + 1
    for low, high in zip(SHARES, SHARES[1:]):
        words += names.words(low * count, high * count, each)
    return words[:WORDS]


def measure(lane: str) -> None:
    kept = os.environ.get("MONETA_BENCH_NEEDLE_DIR")
    directory = pathlib.Path(kept, lane) if kept else programs.scratch()
    directory.mkdir(parents=True, exist_ok=True)
    ours, peers = searchers.Moneta(directory), [peer(directory) for peer in searchers.present()]
    notes = directory / "events.json"
    if not notes.exists():
        notes.write_text(json.dumps(fill(lane, [ours, *peers])))
    known = json.loads(notes.read_text())
    figures = {"events": known["events"]} | bytes_of(known, ours, peers)
    figures |= {name: value for name, value in known.items() if name.endswith("_seconds")}
    words = words_of(peers[0], known["events"])
    ours.start()
    figures["ready_seconds"] = ours.server.ready_seconds
    figures |= compare([ours, *peers], words)
    figures["peak_rss_mib"] = ours.server.peak_rss_mib
    ours.stop()
    harness.record(f"needle/{lane}", figures)
    if not kept:
        programs.discard(directory)


def bytes_of(known: dict, ours: searchers.Moneta, peers: list) -> dict:
    """Bytes an event, and their ratios."""
    events, own = known["events"], ours.stored_bytes()
    figures = {name: known[name] / events for name in ("raw_bytes", "zstd9_bytes")}
    figures |= {"bytes": own["bytes"] / events, "index_bytes": own["index"] / events, "segments": own["segments"]}
    greatest = sorted(own["columns"].items(), key=lambda entry: -entry[1])[:COLUMNS_SHOWN]
    figures["column_bytes"] = {name: round(size / events, 2) for name, size in greatest}
    for peer in peers:
        theirs = peer.stored_bytes()
        figures |= {f"{peer.name}_bytes": theirs["bytes"] / events, f"{peer.name}_index_bytes": theirs["index"] / events}
        figures[f"index_ratio_to_{peer.name}"] = own["index"] / theirs["index"]
    figures["bytes_ratio_to_chdb"] = figures["bytes"] / figures["chdb_bytes"]
    return figures


def compare(parts: list, words: list[str]) -> dict:
    """All engines asked in turns for each word, and the others' times over ours."""
    ours = parts[0]
    long_words = [word for word in words if len(word) >= 3 * CUT + 3 and word not in ABSENT][:PARTS]
    questions = [("count", word) for word in words] + [("take", word) for word in words]
    questions += [("contains", word[CUT:-CUT]) for word in long_words]
    times, cold, ratios, disagreeing = {}, {}, {}, []
    for what, word in questions:
        able = [engine for engine in parts if hasattr(engine, what)]
        first = {engine.name: getattr(engine, what)(word) for engine in able}
        if len({found for _, found in first.values()}) > 1:
            disagreeing.append(f"{what} {word}: {({name: found for name, (_, found) in first.items()})}")
            continue
        taken = {engine.name: [] for engine in able}
        for _ in range(ROUNDS):
            for engine in able:
                taken[engine.name].append(getattr(engine, what)(word)[0])
        for name, own in taken.items():
            times.setdefault((what, name), []).extend(own)
            cold.setdefault((what, name), []).append(first[name][0])
            ratios.setdefault((what, name), []).append(harness.median(own) / harness.median(taken[ours.name]))
    anywhere = [ours.anywhere(word)[0] for word in words for _ in range(2)]
    figures = {"words": len(words), "disagreeing": disagreeing, "anywhere_p50_ms": harness.median(anywhere) * 1e3}
    for (what, name), own in times.items():
        figures[f"{name}_{what}_p50_ms"] = harness.median(own) * 1e3
        figures[f"{name}_{what}_p95_ms"] = harness.percentile(own, 95) * 1e3
        figures[f"{name}_{what}_first_p50_ms"] = harness.median(cold[what, name]) * 1e3
        if name != ours.name:
            figures[f"{what}_ahead_of_{name}"] = harness.geometric_mean(ratios[what, name])
    return figures


def main() -> None:
    if "chdb" not in [peer.name for peer in searchers.present()]:
        return print("needle: this Python has no chdb; see bench/requirements.txt")
    for lane in LANES:
        if harness.wanted(lane):
            measure(lane)


if __name__ == "__main__":
    main()
