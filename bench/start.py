"""Measures how long `moneta serve` takes until it says that it is ready.

    start.py BINARIES_DIR

Three cases: an empty directory; after a clean shutdown; and after `kill -9` with all events only in the journal, which
must be read, checked and brought back.
"""

import os
import signal

import harness
import inputs
import programs

EVENTS = harness.setting("EVENTS", 200_000)
ROUNDS = harness.setting("ROUNDS", 5)
BUNDLE = 1_000


def main() -> None:
    rounds = [one_round() for _ in range(ROUNDS)]
    result = {name: harness.median([one[name] for one in rounds]) for name in rounds[0]}
    harness.record("start", {"events": EVENTS, "rounds": ROUNDS} | result)


def one_round() -> dict:
    directory = programs.scratch()
    unsealed = {"MONETA_STORE__SEAL_BYTES": str(1 << 40), "MONETA_STORE__SEAL_AGE_SECONDS": "86400"}
    first = programs.Server(harness.binaries(), directory, unsealed)
    client = first.client()
    for body in inputs.bundles(inputs.process_lines(EVENTS), BUNDLE):
        client.post("/v1/ingest/SecurityEvent", body, "application/x-ndjson")
    journal_bytes = programs.bytes_below(first.data / "journal")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    killed = programs.Server(harness.binaries(), directory, unsealed)
    missing = EVENTS - killed.num_rows(killed.client(), "SecurityEvent")
    killed.stop()
    clean = programs.Server(harness.binaries(), directory)
    clean.stop()
    result = {
        "empty_seconds": first.ready_seconds,
        "after_kill_seconds": killed.ready_seconds,
        "after_kill_journal_mb": journal_bytes / 1e6,
        "after_kill_missing": missing,
        "after_stop_seconds": clean.ready_seconds,
    }
    programs.discard(directory)
    return result


if __name__ == "__main__":
    main()
