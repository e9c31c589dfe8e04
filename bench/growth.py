"""Measures what grows with a table: opening the store, finding one row of all, counting an hour, memory, disk.

    growth.py BINARIES_DIR

Syslog messages come in over one TCP connection, 600,000 for each hour of their own time; every fourth has a word that no
other has. At a tenth of the rows, three tenths, and all of them the server is stopped and opened again some times, and asked. The
cache of decoded columns is bounded so that the whole server should stay below 1 GiB.

With MONETA_BENCH_GROWTH_DIR the tables of all sizes stay below that directory; the next run only opens and asks them.
"""

import datetime
import os
import pathlib
import random
import shutil
import socket

os.environ.setdefault("MONETA_BENCH_PIN", "0")

import harness  # noqa: E402
import inputs  # noqa: E402
import programs  # noqa: E402

ROWS = harness.setting("GROWTH_ROWS", 10_000_000)
ROUNDS = harness.setting("GROWTH_ROUNDS", 15)
OPENINGS = 3
SIZES = [ROWS // 10, ROWS // 10 * 3, ROWS]
MINUTE_ROWS = 10_000
HOUR_ROWS = 60 * MINUTE_ROWS
# Minutes made beforehand; their times and words are filled in when they are sent.
MINUTES_MADE = 8
TIME, SALT = b"@time-of-16-char", b"@salt-8@"
MARKED_EVERY = 4
SETTINGS = {"MONETA_QUERY__CACHE_BYTES": str(256 << 20)}


def minutes() -> list[bytes]:
    """Messages of some minutes, without the minute in their times and without half of their words."""
    pick, made = random.Random(3), []
    for _ in range(MINUTES_MADE):
        lines = []
        for number in range(MINUTE_ROWS):
            address = {"a": pick.randrange(4), "b": pick.randrange(16), "c": pick.randrange(256)}
            message = pick.choice(inputs.MESSAGES).format(
                user=pick.choice(inputs.USERS), port=pick.randrange(1024, 65536), **address
            )
            mark = b" trace=%s%08x" % (SALT, number) if number % MARKED_EVERY == 0 else b""
            time = b"%s:%09.6fZ" % (TIME, number * 60 / MINUTE_ROWS)
            header = f"{pick.choice(inputs.HOSTS)} {pick.choice(inputs.DAEMONS)} {pick.randrange(300, 32768)} - - {message}"
            lines.append(b"<%d>1 %s %s%s\n" % (pick.randrange(8) + 32, time, header.encode(), mark))
        made.append(b"".join(lines))
    return made


def minute_time(start: datetime.datetime, number: int) -> datetime.datetime:
    return start + datetime.timedelta(minutes=number)


def salt(number: int) -> bytes:
    """What makes the words of a minute its own."""
    return b"%08x" % random.Random(number).getrandbits(32)


def needle(number: int) -> str:
    """The word of one message of a minute."""
    return (salt(number) + b"%08x" % (MINUTE_ROWS // 2)).decode()


def send(server: programs.Server, made: list[bytes], start: datetime.datetime, first: int, rows: int) -> None:
    """Sends the minutes from `first` up to so many rows, and waits until all are stored."""
    with socket.create_connection(("127.0.0.1", server.syslog_port)) as connection:
        for number in range(first, rows // MINUTE_ROWS):
            time = minute_time(start, number).strftime("%Y-%m-%dT%H:%M").encode()
            connection.sendall(made[number % MINUTES_MADE].replace(TIME, time).replace(SALT, salt(number)))
    client = server.client()
    harness.wait_until("all rows are stored", lambda: server.num_rows(client, "Syslog") >= rows, pause=1)


def fill(directory: pathlib.Path, start: datetime.datetime) -> None:
    """Makes the tables of all sizes, each from a copy of the one before."""
    made, done, before = minutes(), 0, None
    for rows in SIZES:
        own = directory / f"{rows}"
        if before:
            shutil.copytree(before / "data", own / "data")
        own.mkdir(exist_ok=True)
        server = programs.Server(harness.binaries(), own, SETTINGS)
        seconds = harness.seconds_of(lambda: send(server, made, start, done // MINUTE_ROWS, rows))
        added, done, before = rows - done, rows, own
        server.stop()
        figures = {
            "rows": rows,
            "added_per_second": added / seconds,
            "added_per_cpu_second": added / server.cpu_seconds,
            "peak_rss_mib": server.peak_rss_mib,
        }
        harness.record("growth/fill", figures)


def ask(directory: pathlib.Path, start: datetime.datetime, rows: int) -> dict:
    """Opens a table some times and asks it; the first times are apart, since they read what later ones have in memory."""
    opened = []
    for _ in range(OPENINGS):
        server = programs.Server(harness.binaries(), directory / f"{rows}", SETTINGS)
        opened.append(server.ready_seconds)
        if len(opened) < OPENINGS:
            server.stop()
    stored = programs.stored_bytes(server.data)
    figures = {
        "rows": rows,
        "open_seconds": harness.median(opened),
        "open_rss_mib": server.peak_rss_mib,
        "store_bytes_per_row": stored["store"] / max(rows, 1),
        "ledger_bytes_per_row": stored["ledger"] / max(rows, 1),
        "segments": sum(1 for path in (server.data / "store" / "Syslog").rglob("*.parquet") if "_delta_log" not in path.parts),
    }
    if rows:
        figures |= questions(server, start, rows)
    figures["peak_rss_mib"] = server.peak_rss_mib
    server.stop()
    return figures


def questions(server: programs.Server, start: datetime.datetime, rows: int) -> dict:
    """Words and hours of every part of the table, a new one each time."""
    client, pick = server.client(), random.Random(rows)
    times, figures = {"needle": [], "hour": []}, {}
    for _ in range(ROUNDS):
        word = needle(pick.randrange(rows // MINUTE_ROWS))
        hour = start + datetime.timedelta(seconds=pick.randrange(rows // MINUTE_ROWS - 60) * 60 + 17)
        span = f"datetime({hour:%Y-%m-%dT%H:%M:%S}) .. datetime({hour + datetime.timedelta(hours=1, microseconds=-1):%Y-%m-%dT%H:%M:%S.%f})"
        for name, text, expected in [
            ("needle", f"Syslog | where SyslogMessage has '{word}' | count", 1),
            ("hour", f"Syslog | where TimeGenerated between ({span}) | count", HOUR_ROWS),
        ]:
            answers = []
            seconds = harness.seconds_of(lambda: answers.append(client.query(text)[0][0]))
            if answers != [expected]:
                raise SystemExit(f"{text}: {answers[0]:,} rows instead of {expected:,}")
            times[name].append(seconds * 1e3)
    for name, taken in times.items():
        figures[f"{name}_first_ms"] = taken[0]
        figures[f"{name}_p50_ms"] = harness.median(taken)
        figures[f"{name}_p95_ms"] = harness.percentile(taken, 95)
    return figures


def main() -> None:
    kept = os.environ.get("MONETA_BENCH_GROWTH_DIR")
    directory = pathlib.Path(kept) if kept else programs.scratch()
    directory.mkdir(parents=True, exist_ok=True)
    notes = directory / "start"
    if not notes.exists():
        start = inputs.now().replace(second=0, microsecond=0, tzinfo=None) - datetime.timedelta(minutes=ROWS // MINUTE_ROWS)
        fill(directory, start)
        notes.write_text(start.isoformat())
    start = datetime.datetime.fromisoformat(notes.read_text())
    (directory / "0").mkdir(exist_ok=True)
    curve = [ask(directory, start, rows) for rows in (0, *SIZES)]
    for figures in curve:
        harness.record("growth", figures)
    ends = {name: curve[-1][name] / curve[1][name] for name in ("open_seconds", "needle_p50_ms", "hour_p50_ms", "peak_rss_mib")}
    harness.record("growth/tenfold", ends)
    if not kept:
        programs.discard(directory)


if __name__ == "__main__":
    main()
