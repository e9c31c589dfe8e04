"""What all benchmarks share: settings, the machine, statistics, results. Measures nothing itself, asserts nothing."""

import datetime
import json
import math
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
# Resamples of a bootstrap interval; more change no digit that is printed.
RESAMPLES = 2_000


def setting(name: str, default: int) -> int:
    """A number from the environment: `MONETA_BENCH_<NAME>`."""
    return int(os.environ.get(f"MONETA_BENCH_{name}", default))


def corpus(path: str) -> pathlib.Path | None:
    """A part of the corpus, or None where it is not present."""
    whole = pathlib.Path(os.environ.get("MONETA_CORPUS", ROOT.parent / "shared")) / path
    return whole if whole.exists() else None


def binaries() -> pathlib.Path:
    """The directory of the programs: the first argument of every benchmark."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} BINARIES_DIR [PART ...]")
    return pathlib.Path(sys.argv[1]).resolve()


def wanted(part: str) -> bool:
    """Whether a part was asked for. Without names, all parts are."""
    return len(sys.argv) < 3 or part in sys.argv[2:]


def cores() -> tuple[set[int] | None, set[int] | None]:
    """Cores of the measured program, and of what feeds it: apart where there are two. None: wherever they like."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2 or not setting("PIN", 1):
        return None, None
    return {available[0]}, set(available[1:])


def machine() -> dict:
    """The machine, as far as it explains a figure."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {
        "cores": os.cpu_count(),
        "cpu": model,
        "kernel": platform.release(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def commit() -> str:
    """The commit of this tree, marked where files were changed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def load() -> float:
    """The load average of the last minute: other work on the machine that makes a figure worse."""
    return os.getloadavg()[0]


def median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile: a value that occurred."""
    rank = max(1, math.ceil(len(values) * share / 100))
    return sorted(values)[rank - 1] if values else float("nan")


def seconds_of(work) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def geometric_mean(values: list[float]) -> float:
    return statistics.geometric_mean(values)


def interval(ours: list[float], theirs: list[float]) -> list[float]:
    """The 95 % bootstrap interval of the ratio of two medians."""
    pick = random.Random(1)
    ratios = sorted(
        median(pick.choices(ours, k=len(ours))) / median(pick.choices(theirs, k=len(theirs))) for _ in range(RESAMPLES)
    )
    return [round(ratios[int(RESAMPLES * 0.025)], 3), round(ratios[int(RESAMPLES * 0.975) - 1], 3)]


def wait_until(what: str, condition, seconds_max: float = 600, pause: float = 0.05):
    """Waits for a condition and returns what it returned."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if (value := condition()) is not None and value is not False:
            return value
        time.sleep(pause)
    sys.exit(f"gave up after {seconds_max:.0f} s: {what}")


def record(benchmark: str, figures: dict) -> None:
    """Prints a result, and appends it to the day's file as one JSON line."""
    print(f"{benchmark}", flush=True)
    for name, value in figures.items():
        print(f"  {name:<32} {show(value)}", flush=True)
    line = {
        "benchmark": benchmark,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "binaries": binaries().name,
        "command": " ".join(sys.argv),
        "machine": machine(),
        "load_1m": round(load(), 2),
        "figures": figures,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    with open(RESULTS / f"{line['time'][:10]}.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def show(value) -> str:
    """A value for people."""
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
