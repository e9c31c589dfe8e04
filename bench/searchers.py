"""Engines that find words in one text per event: Moneta over HTTP, ClickHouse's text index (chdb) and tantivy inside this
process. Each takes the same texts piece by piece, says what it stored, and counts and fetches events."""

import concurrent.futures
import importlib.util
import json
import pathlib
import time

import engines
import harness
import inputs
import programs

BUNDLE = 1_000
# The words both indexes have: ours leaves out shorter ones.
WORD = "^[a-z0-9]{3,}$"
TAKEN = 100
TANTIVY_HEAP = 512 << 20


def present() -> list:
    """The peers this Python has, ClickHouse first: it names the words."""
    return [peer for peer in (Chdb, Tantivy) if importlib.util.find_spec(peer.name)]


class Moneta:
    """Our server, with its audit row for each question."""

    name = "moneta"

    def __init__(self, directory: pathlib.Path):
        self.directory, self.settings = directory, engines.unscrubbed(directory)
        self.server = None

    def start(self) -> None:
        self.server = programs.Server(harness.binaries(), self.directory, self.settings)
        self.client = self.server.client()

    def stop(self) -> None:
        """A clean shutdown, after which everything is in segments."""
        if self.server:
            self.server.stop()
        self.server = None

    def add(self, bodies: list[str]) -> None:
        """Stores events, over as many connections as there are cores."""
        if not self.server:
            self.start()
        parts = [bodies[start : start + BUNDLE] for start in range(0, len(bodies), BUNDLE)]
        with concurrent.futures.ThreadPoolExecutor(engines.THREADS) as senders:
            list(senders.map(self._send, [parts[first :: engines.THREADS] for first in range(engines.THREADS)]))

    def _send(self, parts: list[list[str]]) -> None:
        client, stamp = self.server.client(), inputs.stamp(0, 1, inputs.now())
        for part in parts:
            body = "".join(f'{{"TimeGenerated":"{stamp}","Body":{text}}}\n' for text in part)
            client.post("/v1/ingest/Events_CL", body.encode(), "application/x-ndjson")

    def finish(self) -> None:
        """Stops, and starts once more: what merges left behind goes when a store is opened."""
        self.stop()
        self.start()
        self.stop()

    def stored_bytes(self) -> dict[str, int]:
        """Of the store and its signed tree; of those, of the index of words and of the greatest columns."""
        stored = programs.stored_bytes(self.server.data if self.server else self.directory / "data")
        whole = {"bytes": stored["store"] + stored["ledger"]}
        parts = segment_bytes(self.directory / "data" / "store" / "Events_CL")
        return whole | {"index": parts.pop("index"), "segments": parts.pop("segments"), "columns": parts}

    def ask(self, text: str) -> tuple[float, list]:
        began = time.perf_counter()
        rows = self.client.query(text)
        return time.perf_counter() - began, rows

    def count(self, word: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where Body has '{word}' | count")
        return taken, rows[0][0]

    def take(self, word: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where Body has '{word}' | project Body | take {TAKEN}")
        return taken, len(rows)

    def contains(self, part: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where Body contains '{part}' | count")
        return taken, rows[0][0]

    def anywhere(self, word: str) -> tuple[float, int]:
        taken, rows = self.ask(f"Events_CL | where * has '{word}' | count")
        return taken, rows[0][0]


def segment_bytes(table: pathlib.Path) -> dict[str, int]:
    """Bytes of a table's segments by column, of their index of words (`index`), and how many segments there are."""
    import pyarrow.parquet

    sums = {"index": 0, "segments": 0}
    for path in sorted(table.rglob("*.parquet")):
        if "_delta_log" in path.parts:
            continue
        metadata = pyarrow.parquet.read_metadata(path)
        sums["segments"] += 1
        places = (metadata.metadata or {}).get(b"moneta.terms", b";").decode().split(";")[1:]
        sums["index"] += sum(int(number) for place in places if place for number in place.split(",")[1:])
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                name = column.path_in_schema
                sums[name] = sums.get(name, 0) + column.total_compressed_size
    return sums


class Chdb:
    """A MergeTree with a text index over the same words; its cache of past filters is off."""

    name = "chdb"

    def __init__(self, directory: pathlib.Path):
        from chdb import session

        self.piece = directory / "piece.ndjson"
        self.session = session.Session(str(directory / "chdb"))
        self.session.query(f"set max_threads = {engines.THREADS}, use_query_condition_cache = 0")
        self.session.query("create database if not exists bench")
        self.session.query("use bench")
        index = "index words(Body) type text(tokenizer = 'splitByNonAlpha', preprocessor = lower(Body))"
        self.session.query(
            f"create table if not exists events (Body String codec(ZSTD(1)), {index}) engine = MergeTree order by tuple()"
        )

    def add(self, bodies: list[str]) -> None:
        self.piece.write_text("\n".join(bodies) + "\n", encoding="utf-8")
        self.session.query(f"insert into events select line from file('{self.piece}', LineAsString)")
        self.piece.unlink()

    def finish(self) -> None:
        self.session.query("optimize table events final")

    def stored_bytes(self) -> dict[str, int]:
        columns = "sum(bytes_on_disk), sum(secondary_indices_compressed_bytes)"
        [[whole, index]] = self._rows(f"select {columns} from system.parts where active and table = 'events'")
        return {"bytes": int(whole), "index": int(index)}

    def words(self, low: float, high: float, count: int) -> list[str]:
        """Words in more than `low` and at most `high` events, the same for the same events."""
        source = "mergeTreeTextIndex(bench, events, words)"
        found = self._rows(
            f"select token, sum(cardinality) as n from {source} where match(token, '{WORD}') group by token"
            f" having n > {low} and n <= {high} order by sipHash64(token) limit {count}"
        )
        return [word for word, _ in found]

    def _rows(self, text: str) -> list:
        return json.loads(self.session.query(text, "JSONCompact").data())["data"]

    def _timed(self, text: str) -> tuple[float, list]:
        began = time.perf_counter()
        data = self.session.query(text, "JSONCompact").data()
        taken = time.perf_counter() - began
        return taken, json.loads(data)["data"]

    def count(self, word: str) -> tuple[float, int]:
        taken, rows = self._timed(f"select count() from events where hasAllTokens(Body, ['{word}'])")
        return taken, int(rows[0][0])

    def take(self, word: str) -> tuple[float, int]:
        taken, rows = self._timed(f"select Body from events where hasAllTokens(Body, ['{word}']) limit {TAKEN}")
        return taken, len(rows)

    def contains(self, part: str) -> tuple[float, int]:
        taken, rows = self._timed(f"select count() from events where Body ilike '%{part}%'")
        return taken, int(rows[0][0])


class Tantivy:
    """An index alone: documents by word, without frequencies, positions or texts. It has no events to fetch."""

    name = "tantivy"

    def __init__(self, directory: pathlib.Path):
        import tantivy

        self.path = directory / "tantivy"
        self.path.mkdir(exist_ok=True)
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("Body", stored=False, tokenizer_name="words", index_option="basic")
        self.index = tantivy.Index(builder.build(), path=str(self.path))
        cutter = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase())
        self.index.register_tokenizer("words", cutter.build())
        self.writer, self.tantivy = None, tantivy

    def add(self, bodies: list[str]) -> None:
        self.writer = self.writer or self.index.writer(TANTIVY_HEAP, engines.THREADS)
        for body in bodies:
            self.writer.add_document(self.tantivy.Document(Body=body))

    def finish(self) -> None:
        if self.writer:
            self.writer.commit()
            self.writer.wait_merging_threads()
            self.writer = None

    def stored_bytes(self) -> dict[str, int]:
        size = programs.bytes_below(self.path)
        return {"bytes": size, "index": size}

    def count(self, word: str) -> tuple[float, int]:
        self.index.reload()
        searcher = self.index.searcher()
        query = self.tantivy.Query.term_query(self.index.schema, "Body", word)
        began = time.perf_counter()
        found = searcher.search(query, limit=1, count=True)
        return time.perf_counter() - began, found.count

