"""Measures the time from an accepted event to the webhook call of its alert, at a steady rate.

    alert_latency.py BINARIES_DIR [small|whole ...]

Events go to `POST /v1/ingest/SecurityEvent` in small requests, on a fixed timetable whether or not earlier ones were
answered. Some hold an event that one rule matches, with a number in it that the webhook call repeats. `small` has
twenty-four rules; `whole` has those and all rules of the corpus (sigma/rules). The receiver is a process of its own.
"""

import datetime
import http.server
import json
import multiprocessing
import os
import random
import re
import threading
import time

import harness
import inputs
import programs

RATE = harness.setting("RATE", 1_000)
SECONDS = harness.setting("SECONDS", 60)
# Events of one request; planted events a second; senders, so that a slow answer delays no other request.
BUNDLE = max(20, RATE // 50)
PLANTED_PER_SECOND = 10
SENDERS = 8
# The rules that take planted events in turns: a rule with hundreds of alerts a minute would be throttled.
PLANTED_RULES = 20
# After this long without its call, an alert counts as missing.
PATIENCE_SECONDS = 30

RULE = """title: {title}
id: 0b5de7a0-0000-4000-8000-{number:012}
status: test
description: Planted by the benchmark of alert latency.
author: Moneta
date: 2026-01-31
logsource:
  product: windows
  category: process_creation
detection:
  selection:
    CommandLine|contains: '{text}'
  condition: selection
level: high
"""
RULES = {
    **{f"Planted{number}": f"planted-{number:02}-marker-" for number in range(PLANTED_RULES)},
    "Dump": "lsass.dmp",
    "Wipe": "cipher /w",
    "Copy": "vssadmin delete",
    "Load": "regsvr32 /i:",
}


def main() -> None:
    os.sched_setaffinity(0, harness.cores()[1] or os.sched_getaffinity(0))
    if harness.wanted("small"):
        measure("small", [])
    if harness.wanted("whole"):
        rules = harness.corpus("sigma/rules")
        if rules is None:
            return print("alert_latency/whole: corpus not present")
        measure("whole", [rules])


def receive(port: int, arrivals) -> None:
    """The receiver: notes when each planted number arrived."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived = time.monotonic()
            self.send_response(204)
            self.end_headers()
            arrivals.put((arrived, [int(number) for number in set(re.findall(rb"planted-\d\d-marker-(\d+)", body))]))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


def measure(name: str, more_rules: list) -> None:
    directory = programs.scratch()
    port, arrivals = programs.free_port(), multiprocessing.Queue()
    receiver = multiprocessing.Process(target=receive, args=(port, arrivals), daemon=True)
    receiver.start()
    server = start(directory, port)
    rules = add_rules(server, directory, more_rules)
    cpu_before = server.cpu_now()
    sent, accepted, late = offer(server)
    seen = collect(arrivals, len(accepted))
    cpu = server.cpu_now() - cpu_before
    server.stop()
    receiver.terminate()
    used = {"rules": rules, "cpu_seconds": cpu, "peak_rss_mib": server.peak_rss_mib}
    harness.record(f"alert_latency/{name}", figures(sent, accepted, seen, late) | used)
    programs.discard(directory)


def start(directory, port: int) -> programs.Server:
    settings = directory / "moneta.toml"
    # Every planted event is to call, though the same rules match all of them.
    notify = f'webhook_url = "http://127.0.0.1:{port}/"\nallow_private_hosts = ["127.0.0.1"]\nrepeat_minutes = 0\n'
    settings.write_text(f"[notify]\n{notify}")
    harness.wait_until("the receiver listens", lambda: programs.accepts(port))
    return programs.Server(harness.binaries(), directory, {"MONETA_CONFIG": str(settings)})


def add_rules(server: programs.Server, directory, more: list) -> int:
    folder = directory / "rules"
    folder.mkdir()
    for number, (title, text) in enumerate(RULES.items()):
        (folder / f"{title.lower()}.yml").write_text(RULE.format(title=title, number=number, text=text))
    server.command("rules", "add", folder, *more)
    return server.client().get("/v1/status")["rules_loaded"]


def bodies() -> list[tuple[int | None, bytes]]:
    """The requests, each with the number of its planted event, if it has one."""
    pick, result = random.Random(3), []
    plant_every = max(1, RATE // BUNDLE // PLANTED_PER_SECOND)
    for number in range(RATE * SECONDS // BUNDLE):
        time_text = datetime.datetime.now(datetime.timezone.utc).isoformat()
        events = [inputs.process_event(pick, time_text) for _ in range(BUNDLE)]
        planted = number if number % plant_every == plant_every // 2 else None
        if planted is not None:
            rule = number // plant_every % PLANTED_RULES
            events[pick.randrange(BUNDLE)]["CommandLine"] = f"tool.exe planted-{rule:02}-marker-{number}"
        result.append((planted, "\n".join(map(json.dumps, events)).encode()))
    return result


def offer(server: programs.Server) -> tuple[dict, dict, list]:
    """Sends on the timetable. When each planted request was sent and answered, and how late requests began."""
    requests, sent, accepted, late = bodies(), {}, {}, []
    pause, begin = BUNDLE / RATE, time.monotonic() + 0.5

    def run(first: int) -> None:
        client = server.client()
        for index in range(first, len(requests), SENDERS):
            planted, body = requests[index]
            due = begin + index * pause
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            client.post("/v1/ingest/SecurityEvent", body, "application/x-ndjson")
            late.append((began - due) * 1_000)
            if planted is not None:
                sent[planted], accepted[planted] = began, time.monotonic()

    threads = [threading.Thread(target=run, args=(first,)) for first in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent, accepted, late


def collect(arrivals, expected: int) -> dict[int, float]:
    """When each number first arrived."""
    seen, deadline = {}, time.monotonic() + PATIENCE_SECONDS
    while len(seen) < expected and time.monotonic() < deadline:
        try:
            arrived, numbers = arrivals.get(timeout=1)
        except Exception:  # nothing came in this second
            continue
        for number in numbers:
            seen.setdefault(number, arrived)
    return seen


def figures(sent: dict, accepted: dict, seen: dict, late: list) -> dict:
    after_accept = [(seen[number] - accepted[number]) * 1_000 for number in accepted if number in seen]
    after_send = [(seen[number] - sent[number]) * 1_000 for number in sent if number in seen]
    answer = [(accepted[number] - sent[number]) * 1_000 for number in sent]
    return {
        "offered_events_per_second": RATE,
        "events_per_request": BUNDLE,
        "alerts": len(seen),
        "missing": len(accepted) - len(seen),
        "accept_to_webhook_ms_p50": harness.percentile(after_accept, 50),
        "accept_to_webhook_ms_p99": harness.percentile(after_accept, 99),
        "accept_to_webhook_ms_max": max(after_accept, default=float("nan")),
        "send_to_webhook_ms_p50": harness.percentile(after_send, 50),
        "send_to_webhook_ms_p99": harness.percentile(after_send, 99),
        "request_ms_p50": harness.percentile(answer, 50),
        "request_ms_p99": harness.percentile(answer, 99),
        "begun_late_ms_p99": harness.percentile(late, 99),
    }


if __name__ == "__main__":
    main()
