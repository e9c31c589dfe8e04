"""Measures the ledger: durable records a second under a signed checkpoint each second, proofs, the full check, a flipped bit.

    ledger.py BINARIES_DIR

Runs `record_ledger` and `ledger_bench` (`cargo build --profile relfast -p moneta-ledger --examples`) on the disk that TMPDIR
names. Beside them, as far as they are here: siglog, a server of tiled transparency logs, with as many senders as fill its
batches (MONETA_BENCH_SIGLOG names the program, `cargo install siglog`); PostgreSQL with a trigger that chains hashes, and
SQLite doing the same in this process, which are what people build when they have no ledger. Each makes every record durable
before it counts. Rates are per second and per second of CPU time.
"""

import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time

import harness
import inputs
import programs

ROUNDS = harness.setting("LEDGER_ROUNDS", 3)
# Records of one round of ours, and of the peers: those are slow, and their rate does not depend on how many there are.
RECORDS = harness.setting("LEDGER_RECORDS", 2_000_000)
PEER_RECORDS = harness.setting("LEDGER_PEER_RECORDS", 20_000)
# Events of the store that is checked whole and then damaged.
STORED = harness.setting("LEDGER_STORED", 200_000)
RECORD_BYTES = 300
# Senders of siglog, each waiting for its answer: it makes batches of as many.
SENDERS = 256
# RFC 8032, section 7.1, test 1: a key that everybody knows is good enough for a measurement.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def ours(name: str, directory: pathlib.Path, *arguments) -> dict:
    """The figures of one of our programs."""
    command = [harness.binaries() / "examples" / name, "--json", *map(str, arguments), directory]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def sqlite_chain(directory: pathlib.Path) -> tuple[float, float]:
    """A table in which each row has the hash of the one before, every row synced."""
    path = directory / "chain.db"
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = full")
    database.execute("create table chain (number integer primary key, entry blob, hash blob)")
    entry, last = bytes(RECORD_BYTES), bytes(32)
    began, cpu = time.perf_counter(), time.process_time()
    for number in range(PEER_RECORDS):
        database.execute("begin immediate")
        last = hashlib.sha256(last + number.to_bytes(8, "big") + entry).digest()
        database.execute("insert into chain values (?, ?, ?)", (number, entry, last))
        database.execute("commit")
    return PEER_RECORDS / (time.perf_counter() - began), PEER_RECORDS / (time.process_time() - cpu)


CHAIN = """
create table chain (number bigserial primary key, entry bytea not null, hash bytea);
create function link() returns trigger language plpgsql as $$
declare last bytea;
begin
  perform pg_advisory_xact_lock(1);
  select hash into last from chain order by number desc limit 1;
  new.hash := sha256(coalesce(last, ''::bytea) || new.entry);
  return new;
end $$;
create trigger link before insert on chain for each row execute function link();
"""


def postgres_programs() -> pathlib.Path | None:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found and shutil.which("runuser") and os.geteuid() == 0 else None


def postgres_chain(directory: pathlib.Path) -> tuple[float, float]:
    """The same in PostgreSQL by a trigger, each row a transaction of its own, from one session after another."""
    own, data = postgres_programs(), directory / "postgres"
    data.mkdir(exist_ok=True)
    shutil.chown(data, "postgres")
    directory.chmod(0o755)
    run = lambda *words, text=None: subprocess.run(  # noqa: E731
        ["runuser", "-u", "postgres", "--", *map(str, words)], input=text, text=True, check=True, capture_output=True
    )
    cluster = data / f"cluster-{time.monotonic_ns()}"
    run(own / "initdb", "-D", cluster, "-A", "trust")
    options = f"-c listen_addresses= -c unix_socket_directories={data}"
    run(own / "pg_ctl", "-D", cluster, "-w", "-l", data / "log", "-o", options, "start")
    session = (own / "psql", "-q", "-h", data, "-d", "postgres", "-v", "ON_ERROR_STOP=1")
    try:
        run(*session, text=CHAIN)
        rows = f"insert into chain (entry) values (decode(repeat('00', {RECORD_BYTES}), 'hex'));\n" * PEER_RECORDS
        before = cpu_of_user("postgres")
        seconds = harness.seconds_of(lambda: run(*session, text=rows))
        # A session that ended counts once the server has taken note of it.
        cpu = harness.wait_until("the session's time is known", lambda: cpu_of_user("postgres") - before)
    finally:
        run(own / "pg_ctl", "-D", cluster, "-w", "-m", "immediate", "stop")
        shutil.rmtree(cluster)
    return PEER_RECORDS / seconds, PEER_RECORDS / cpu


def cpu_of_user(name: str) -> float:
    """CPU seconds of the processes of a user, and of the children they waited for."""
    total = 0.0
    for directory in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if directory.owner() == name:
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
                total += sum(map(int, fields[11:15])) / programs.TICK
        except (OSError, KeyError):
            continue
    return total


def siglog_program() -> pathlib.Path | None:
    named = os.environ.get("MONETA_BENCH_SIGLOG") or shutil.which("siglog")
    return pathlib.Path(named) if named else None


def note_key(name: str) -> str:
    """The signing key of a log, in the form of signed notes."""
    sum_of_key = hashlib.sha256(name.encode() + b"\n\x01" + bytes.fromhex(PUBLIC)).hexdigest()[:8]
    seed = base64.b64encode(b"\x01" + bytes.fromhex(SEED)).decode()
    return f"PRIVATE+KEY+{name}+{sum_of_key}+{seed}"


def siglog(directory: pathlib.Path) -> tuple[float, float]:
    """Records answered with their place in the log; its checkpoints come each second."""
    own, port = directory / f"siglog-{time.monotonic_ns()}", programs.free_port()
    own.mkdir()
    settings = {
        "DATABASE_URL": f"sqlite:{own}/log.db?mode=rwc",
        "STORAGE_BACKEND": "fs",
        "FS_ROOT": str(own / "tiles"),
        "LOG_ORIGIN": "example.com/log",
        "LOG_PRIVATE_KEY": note_key("example.com/log"),
        "LISTEN_ADDR": f"127.0.0.1:{port}",
        "RUST_LOG": "error",
    }
    process = programs.Process([siglog_program()], own / "log", settings, pinned=False)
    harness.wait_until("siglog listens", lambda: programs.accepts(port), seconds_max=30)
    cpu = process.cpu_now()
    each = PEER_RECORDS // SENDERS
    with concurrent.futures.ThreadPoolExecutor(SENDERS) as senders:
        seconds = harness.seconds_of(lambda: list(senders.map(lambda sender: add_to_siglog(port, sender, each), range(SENDERS))))
    cpu = process.cpu_now() - cpu
    process.stop()
    shutil.rmtree(own)
    return each * SENDERS / seconds, each * SENDERS / cpu


def add_to_siglog(port: int, sender: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(count):
        connection.request("POST", "/add", f"{sender:08}{number:08}".encode() + bytes(RECORD_BYTES - 16))
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"siglog: {answer.status} {answer.read()[:200]!r}")
        answer.read()


def check_of_store(directory: pathlib.Path) -> dict:
    """The full check of a store by `moneta-verify`, and whether it finds one flipped bit in a segment."""
    server = programs.Server(harness.binaries(), directory)
    client = server.client()
    lines = inputs.process_lines(STORED, lane="random")
    for body in inputs.bundles(lines, 1_000):
        client.post("/v1/ingest/SecurityEvent", body, "application/x-ndjson")
    server.stop()
    verify = [harness.binaries() / "moneta-verify", "store", server.data]
    taken = []
    whole = [0]
    for _ in range(ROUNDS):
        taken.append(harness.seconds_of(lambda: whole.append(subprocess.run(verify, capture_output=True).returncode)))
    segment = max((server.data / "store" / "SecurityEvent").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    with open(segment, "r+b") as file:
        file.seek(segment.stat().st_size // 3)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    damaged = subprocess.run(verify, capture_output=True).returncode
    seconds = harness.median(taken)
    return {
        "verify_clean": set(whole) == {0},
        "verify_finds_flipped_bit": damaged == 1,
        "verify_records_per_second": STORED / seconds,
        "verify_raw_mb_per_second": sum(map(len, lines)) / seconds / 1e6,
    }


def main() -> None:
    if not (harness.binaries() / "examples" / "record_ledger").exists():
        return print("ledger: build it with cargo build --profile relfast -p moneta-ledger --examples")
    directory = programs.scratch()
    peers = {"sqlite_chain": sqlite_chain}
    peers |= {"postgres_chain": postgres_chain} if postgres_programs() else {}
    peers |= {"siglog": siglog} if siglog_program() else {}
    own, theirs = [], {name: [] for name in peers}
    for _ in range(ROUNDS):
        own.append(ours("record_ledger", directory, RECORDS))
        for name, peer in peers.items():
            theirs[name].append(peer(directory))
    figures = {name: harness.median([round[name] for round in own]) for name in own[0]}
    for name, rates in theirs.items():
        for position, unit in enumerate(("second", "cpu_second")):
            mine, other = [round[f"records_per_{unit}"] for round in own], [rate[position] for rate in rates]
            figures[f"{name}_records_per_{unit}"] = harness.median(other)
            figures[f"ahead_of_{name}_per_{unit}"] = harness.median(mine) / harness.median(other)
            figures[f"ahead_of_{name}_per_{unit}_95"] = harness.interval(mine, other)
    blocks = ours("ledger_bench", directory)
    figures |= {f"headers_{name}": blocks[name] for name in ("durable_entries_per_second", "inclusion_proof_us", "open_ms")}
    figures |= check_of_store(directory)
    harness.record("ledger", figures)
    programs.discard(directory)


if __name__ == "__main__":
    main()
