"""Measures what storing costs: events per second of wall time and of CPU time, peak memory, stored bytes per event.

    ingest.py BINARIES_DIR [syslog_tcp|syslog_file|ndjson_file|ndjson_http|evtx|windows_json ...]

CPU seconds are those of the program's whole life, with start, shutdown and the writing of segments. A file is read by
`moneta ingest` without a server, and its wall time too is the whole run. For a server, wall time ends when the last
event was acknowledged, or counted as stored. Every event is synced to disk before that; rsyslog, the peer of
`syslog_tcp`, syncs nothing.
"""

import json
import os
import pathlib
import socket
import threading
import time

import harness
import inputs
import peers
import programs

EVENTS = harness.setting("EVENTS", 200_000)
ROUNDS = harness.setting("ROUNDS", 5)
# Lines of one request, and requests under way at once.
BUNDLE = 1_000
SENDERS = 4
# Of the archives of Windows events as JSON, every so many.
ARCHIVE_STEP = harness.setting("ARCHIVE_STEP", 10)


def main() -> None:
    os.sched_setaffinity(0, harness.cores()[1] or os.sched_getaffinity(0))
    for part in (syslog_tcp, syslog_file, ndjson_file, ndjson_http, evtx, windows_json):
        if harness.wanted(part.__name__):
            part()


def figures(events: int, input_bytes: int, wall: float, process: programs.Process, stored: dict[str, int]) -> dict:
    """What every case prints."""
    return {
        "events": events,
        "events_per_second": events / wall,
        "events_per_cpu_second": events / process.cpu_seconds,
        "input_mb_per_cpu_second": input_bytes / 1e6 / process.cpu_seconds,
        "peak_rss_mib": process.peak_rss_mib,
        "input_bytes_per_event": input_bytes / events,
        "store_bytes_per_event": stored["store"] / events,
        "ledger_bytes_per_event": stored["ledger"] / events,
        "journal_bytes_per_event": stored["journal"] / events,
        "all_bytes_per_event": stored["all"] / events,
    }


def medians(rounds: list[dict]) -> dict:
    """The median of every figure, and all values of the two that matter most."""
    result = {name: harness.median([one[name] for one in rounds]) for name in rounds[0]}
    result["rounds_events_per_second"] = [round(one["events_per_second"]) for one in rounds]
    result["rounds_events_per_cpu_second"] = [round(one["events_per_cpu_second"]) for one in rounds]
    return result


# ---- over the network ----


def send(port: int, lines: list[bytes]) -> None:
    """One sender, one connection, newline framing."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for part in inputs.bundles(lines, 500):
            connection.sendall(part)


def syslog_tcp() -> None:
    for lane in ("plain", "random"):
        lines = inputs.syslog_lines(EVENTS, lane=lane)
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(syslog_tcp_moneta(lines))
            if peers.Rsyslog.present():
                theirs.append(syslog_tcp_rsyslog(lines))
        result = medians(ours) | {"lane": lane}
        if theirs:
            result |= compare(ours, theirs)
        harness.record("ingest/syslog_tcp", result)


def syslog_tcp_moneta(lines: list[bytes]) -> dict:
    directory = programs.scratch()
    server = programs.Server(harness.binaries(), directory)
    client, began = server.client(), time.monotonic()
    send(server.syslog_port, lines)
    harness.wait_until("all are stored", lambda: server.num_rows(client, "Syslog") >= len(lines))
    wall = time.monotonic() - began
    server.stop()
    result = figures(len(lines), sum(map(len, lines)), wall, server, programs.stored_bytes(server.data))
    programs.discard(directory)
    return result


def syslog_tcp_rsyslog(lines: list[bytes]) -> dict:
    directory = programs.scratch()
    peer = peers.Rsyslog(directory)
    began = time.monotonic()
    send(peer.port, lines)
    harness.wait_until("all are written", lambda: peer.num_lines() >= len(lines))
    wall = time.monotonic() - began
    peer.stop()
    stored = {"store": peer.output.stat().st_size, "ledger": 0, "journal": 0, "all": peer.output.stat().st_size}
    result = figures(len(lines), sum(map(len, lines)), wall, peer, stored)
    programs.discard(directory)
    return result


def compare(ours: list[dict], theirs: list[dict]) -> dict:
    """Ratios to the peer of the same rounds."""
    result = {}
    for name in ("events_per_second", "events_per_cpu_second"):
        mine, other = [one[name] for one in ours], [one[name] for one in theirs]
        result[f"rsyslog_{name}"] = harness.median(other)
        result[f"ratio_{name}"] = harness.median(mine) / harness.median(other)
        result[f"ratio_{name}_95"] = harness.interval(mine, other)
    return result | {"rsyslog_peak_rss_mib": harness.median([one["peak_rss_mib"] for one in theirs])}


def ndjson_http() -> None:
    for lane in ("plain", "random"):
        lines = inputs.process_lines(EVENTS, lane=lane)
        result = medians([ndjson_http_round(lines) for _ in range(ROUNDS)])
        harness.record("ingest/ndjson_http", result | {"lane": lane, "events_per_request": BUNDLE, "senders": SENDERS})


def ndjson_http_round(lines: list[bytes]) -> dict:
    directory = programs.scratch()
    server = programs.Server(harness.binaries(), directory)
    bodies = inputs.bundles(lines, BUNDLE)
    accepted, delays = [], []

    def run(own: list[bytes]) -> None:
        client = server.client()
        for body in own:
            sent = time.monotonic()
            accepted.append(client.post("/v1/ingest/SecurityEvent", body, "application/x-ndjson")["accepted"])
            delays.append((time.monotonic() - sent) * 1_000)

    threads = [threading.Thread(target=run, args=(bodies[number::SENDERS],)) for number in range(SENDERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    server.stop()
    result = figures(sum(accepted), sum(map(len, lines)), wall, server, programs.stored_bytes(server.data))
    programs.discard(directory)
    return result | {"request_ms_p50": harness.percentile(delays, 50), "request_ms_p99": harness.percentile(delays, 99)}


# ---- files ----


def from_files(name: str, files: list[pathlib.Path], options: list[str], extra: dict) -> None:
    harness.record(name, medians([from_files_round(files, options) for _ in range(ROUNDS)]) | extra)


def from_files_round(files: list[pathlib.Path], options: list[str]) -> dict:
    directory = programs.scratch()
    data, log = directory / "data", directory / "ingest.log"
    command = [harness.binaries() / "moneta", "--data-dir", data, "--json", "--quiet", "ingest", *options, *files]
    process = programs.Process(command, log)
    process.wait()
    summary = json.loads(log.read_text().strip().splitlines()[-1])
    events = summary["events"] + summary["quarantined"]
    result = figures(events, summary["bytes"], process.wall_seconds, process, programs.stored_bytes(data))
    programs.discard(directory)
    return result | {"quarantined": summary["quarantined"]}


def from_lines(name: str, make, suffix: str, options: list[str]) -> None:
    for lane in ("plain", "random"):
        directory = programs.scratch()
        file = directory / f"input{suffix}"
        file.write_bytes(b"".join(make(EVENTS, lane=lane)))
        from_files(name, [file], options, {"lane": lane})
        programs.discard(directory)


def syslog_file() -> None:
    from_lines("ingest/syslog_file", inputs.syslog_lines, ".log", [])


def ndjson_file() -> None:
    from_lines("ingest/ndjson_file", inputs.process_lines, ".ndjson", ["--table", "SecurityEvent"])


def evtx() -> None:
    folder = harness.corpus("samples/evtx")
    if folder is None:
        return print("ingest/evtx: corpus not present")
    from_files("ingest/evtx", [folder], [], {"files": sum(1 for _ in folder.iterdir())})


def windows_json() -> None:
    folder = harness.corpus("otrf")
    if folder is None:
        return print("ingest/windows_json: corpus not present")
    files = sorted(folder.rglob("*.zip"))[::ARCHIVE_STEP]
    from_files("ingest/windows_json", files, [], {"files": len(files)})


if __name__ == "__main__":
    main()
