"""Query engines that answer the same questions in turn: Moneta over HTTP, and ClickHouse (chdb), DuckDB, polars and
DataFusion inside this process. Each has its rows in its own store. A time ends when the whole result is in memory;
turning it into Python values comes after."""

import hashlib
import os
import pathlib
import re
import time

import harness
import programs

THREADS = len(os.sched_getaffinity(0))


def unscrubbed(directory: pathlib.Path) -> dict[str, str]:
    """Settings of a server that stores values as they come: peers replace nothing, and answers must be alike."""
    policy = directory / "scrub.toml"
    policy.write_text("version = 1\n[patterns]\nemail = false\nphone = false\npayment_card = false\n")
    return {"MONETA_SCRUB__POLICY": str(policy)}


class Moneta:
    """Our server; its rows are sealed in segments before the first question."""

    name = "moneta"

    def __init__(self, server: programs.Server):
        self.client = server.client()

    def ask(self, question: dict) -> tuple[float, list]:
        began = time.perf_counter()
        rows = self.client.query(question["kql"])
        return time.perf_counter() - began, rows


class Chdb:
    """ClickHouse, a MergeTree table. Its cache of past filters is off: it would answer from memory what is asked twice."""

    name, prop = "chdb", "ifNull(toString({dynamic}.{member}), '')"

    def __init__(self, directory: pathlib.Path, table: str, parquet: pathlib.Path, dynamic: str, order: str):
        from chdb import session

        self.session = session.Session(str(directory / "chdb"))
        self.session.query(f"set max_threads = {THREADS}, use_query_condition_cache = 0, session_timezone = 'UTC'")
        self.session.query("create database if not exists bench")
        self.session.query("use bench")
        self.session.query(f"drop table if exists {table}")
        source = f"file('{parquet}', Parquet)"
        types = self.session.query(f"describe table {source}", "CSV").data()
        names = [line.split(",")[0].strip('"') for line in types.splitlines()]
        columns = ", ".join(self._typed(name, dynamic) for name in names)
        self.session.query(
            f"create table {table} engine = MergeTree order by {order} as select {columns} from {source}"
        )
        self.session.query(f"optimize table {table} final")

    @staticmethod
    def _typed(name: str, dynamic: str) -> str:
        if name == dynamic:
            return f"CAST(assumeNotNull({name}), 'JSON') as {name}"
        if name == "TimeGenerated":
            return "CAST(assumeNotNull(TimeGenerated), 'DateTime64(6, \\'UTC\\')') as TimeGenerated"
        return f"assumeNotNull({name}) as {name}"

    def ask(self, question: dict) -> tuple[float, list]:
        began = time.perf_counter()
        answer = self.session.query(question[self.name], "JSONCompactEachRow")
        text = answer.data()
        taken = time.perf_counter() - began
        import json

        return taken, [json.loads(line) for line in text.splitlines()]


class DuckDb:
    """DuckDB, a table in its own file."""

    name, prop = "duckdb", "coalesce(json_extract_string({dynamic}, '$.{member}'), '')"

    def __init__(self, directory: pathlib.Path, table: str, parquet: pathlib.Path, dynamic: str, order: str):
        import duckdb

        path = str(directory / "duck.db")
        with duckdb.connect(path) as connection:
            connection.execute("set TimeZone = 'UTC'")
            rest = f"select * replace ({dynamic}::json as {dynamic}) from read_parquet('{parquet}') order by {order}"
            connection.execute(f"create table {table} as {rest}")
        self.connection = duckdb.connect(path)
        self.connection.execute(f"set threads = {THREADS}; set TimeZone = 'UTC'")

    def ask(self, question: dict) -> tuple[float, list]:
        began = time.perf_counter()
        table = self.connection.sql(question[self.name]).to_arrow_table()
        return time.perf_counter() - began, rows_of(table)


class Polars:
    """polars, all columns in memory. It is not asked about members of JSON."""

    name, prop = "polars", None

    def __init__(self, directory: pathlib.Path, table: str, parquet: pathlib.Path, dynamic: str, order: str):
        import polars

        self.context = polars.SQLContext({table: polars.read_parquet(parquet).lazy()}, eager=True)

    def ask(self, question: dict) -> tuple[float, list]:
        began = time.perf_counter()
        frame = self.context.execute(question[self.name])
        return time.perf_counter() - began, [list(row) for row in frame.rows()]


class DataFusion:
    """DataFusion as it comes, over one Parquet file. It has no functions for JSON."""

    name, prop = "datafusion", None

    def __init__(self, directory: pathlib.Path, table: str, parquet: pathlib.Path, dynamic: str, order: str):
        import datafusion

        settings = datafusion.SessionConfig().with_target_partitions(THREADS)
        settings = settings.set("datafusion.sql_parser.enable_ident_normalization", "false")
        self.context = datafusion.SessionContext(settings)
        self.context.register_parquet(table, str(parquet))

    def ask(self, question: dict) -> tuple[float, list]:
        import pyarrow

        began = time.perf_counter()
        batches = self.context.sql(question[self.name]).collect()
        taken = time.perf_counter() - began
        return taken, rows_of(pyarrow.Table.from_batches(batches)) if batches else []


PEERS = [Chdb, DuckDb, Polars, DataFusion]


def present() -> list:
    """The peers this Python has."""
    import importlib.util

    return [peer for peer in PEERS if importlib.util.find_spec(peer.name)]


def rows_of(table) -> list:
    return [list(row.values()) for row in table.rename_columns([str(i) for i in range(table.num_columns)]).to_pylist()]


def questions(file: str, peers: list, dynamic: str, names: dict[str, str]) -> list[dict]:
    """The queries of a file, in the words of each engine."""
    blocks = (harness.ROOT / "bench" / file).read_text().strip().split("\n\n")[1:]
    result = []
    for block in blocks:
        name, kql, sql, *others = block.split("\n")
        own = dict(line.split(": ", 1) for line in others)
        question = {"name": name, "kql": filled(kql, None, dynamic, names)}
        for peer in peers:
            text = filled(own.get(peer.name, sql), peer.prop, dynamic, names)
            if text and text != "-":
                question[peer.name] = text
        result.append(question)
    return result


def filled(text: str, prop: str | None, dynamic: str, names: dict[str, str]) -> str | None:
    """A query with its placeholders filled; None where it asks for members of JSON and the engine has no words."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    if "{prop:" in text and prop is None:
        return None
    return re.sub(r"\{prop:(\w+)\}", lambda found: prop.format(dynamic=dynamic, member=found[1]), text)


def digest(rows: list) -> str:
    """A hash of an answer in any order: null is the empty text, reals have nine digits, times microseconds."""
    lines = sorted("\x1f".join(map(canonical, row)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?")


def canonical(value) -> str:
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        value = value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.9g}"
    text = str(value)
    if found := TIME.fullmatch(text):
        return f"{found[1]}T{found[2]}.{(found[3] or '').ljust(6, '0')[:6]}"
    # ClickHouse writes 64-bit numbers as texts.
    return text


def compare(benchmark: str, engines: list, asked: list[dict], rounds: int) -> None:
    """Asks every engine each question in turns, compares the answers, and records times and ratios."""
    figures, hot_means, agree = {}, {engine.name: {} for engine in engines}, True
    cold = {engine.name: {} for engine in engines}
    for question in asked:
        times, answers = {}, {}
        able = [engine for engine in engines if engine.name == "moneta" or engine.name in question]
        for engine in able:
            cold[engine.name][question["name"]], rows = engine.ask(question)
            answers[engine.name], times[engine.name] = (digest(rows), len(rows)), []
        for _ in range(rounds):
            for engine in able:
                times[engine.name].append(engine.ask(question)[0])
        own = answers["moneta"]
        for name, answer in answers.items():
            if answer != own:
                agree = False
                print(f"  ANSWERS DIFFER in {question['name']}: moneta {own}, {name} {answer}", flush=True)
        medians = {name: harness.median(taken) * 1_000 for name, taken in times.items() if answers[name] == own}
        for name, value in medians.items():
            hot_means[name][question["name"]] = value
        peers = {name: value for name, value in medians.items() if name != "moneta"}
        best = min(peers.values(), default=float("nan"))
        figures[question["name"]] = {name: round(value, 2) for name, value in medians.items()} | {
            "ahead": round(best / medians["moneta"], 2)
        }
        print(f"  {question['name']:<22}" + "".join(f"{name} {value:8.2f}  " for name, value in medians.items())
              + f"ahead {best / medians['moneta']:.2f}", flush=True)
    report(benchmark, figures, hot_means, cold, agree)


def report(benchmark: str, figures: dict, hot: dict, cold: dict, agree: bool) -> None:
    """Geometric means over the questions that an engine and Moneta both answered alike."""
    summary = {"answers_agree": agree, "hot_ms": figures}
    for name, times in hot.items():
        if name == "moneta" or not times:
            continue
        ratios = [value / hot["moneta"][question] for question, value in times.items()]
        summary[f"ahead_of_{name}"] = round(harness.geometric_mean(ratios), 3)
        shared = [question for question in cold[name] if question in cold["moneta"]]
        summary[f"cold_sum_ms_{name}"] = round(sum(cold[name][question] for question in shared) * 1_000, 1)
        summary[f"cold_sum_ms_moneta_beside_{name}"] = round(sum(cold["moneta"][q] for q in shared) * 1_000, 1)
    summary["hot_geometric_mean_ms"] = {
        name: round(harness.geometric_mean(list(times.values())), 3) for name, times in hot.items() if times
    }
    ahead = [one["ahead"] for one in figures.values() if one["ahead"] == one["ahead"]]
    if ahead:
        # The best of all peers anew for each question: harder to beat than any one of them.
        summary["ahead_of_best_of_each_question"] = round(harness.geometric_mean(ahead), 3)
    harness.record(benchmark, summary)
