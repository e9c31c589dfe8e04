"""Measures what matching rules costs: events per second of one core's time, beside rsigma's engine, and for 100 to 10,000 rules.

    sigma.py BINARIES_DIR [ratio|curve]

Needs the corpus, and in BINARIES_DIR the examples `match_rate` and `sigma_export`. The peer is `sigma-peer` beside
them; without it only our figures are printed. The peer gets the events as fields by the names that rules use, parsed
before the clock starts, and for each kind of event an engine with only the rules for it. Both match sets are compared,
match by match, before any time counts. Beyond the corpus's rules, the curve takes changed copies that share nothing.
"""

import json
import pathlib
import re
import subprocess
import tempfile

import harness

ROUNDS = harness.setting("ROUNDS", 5)
# Of the corpus's archives, every so many.
STEP = harness.setting("SIGMA_ARCHIVE_STEP", 6)
COUNTS = [100, 300, 1_000, 3_000, 10_000]
FOLDERS = ["rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance"]
# The peer's filters of candidates, all of which are tried.
FLAGS = [[], ["--bloom"], ["--needles"], ["--bloom", "--needles"]]


def main() -> None:
    sigma, events = harness.corpus("sigma"), harness.corpus("otrf/atomic/windows")
    if sigma is None or events is None:
        print("corpus not present, sigma not measured")
        return
    if not (harness.binaries() / "examples" / "match_rate").exists():
        print("the examples of moneta-rules are not built, sigma not measured; bench/README.md says how")
        return
    rules = [part for folder in FOLDERS for part in ("--rules", str(sigma / folder))]
    if harness.wanted("ratio"):
        with tempfile.TemporaryDirectory(prefix="moneta-bench-") as scratch:
            ratio(rules, sigma, events, pathlib.Path(scratch))
    if harness.wanted("curve"):
        rates = {str(count): ours(rules, events, ["--count", str(count), "--repeat", "3"]) for count in COUNTS}
        harness.record("sigma/curve", {"events_per_second_by_rules": rates})


def ours(rules: list[str], events: pathlib.Path, options: list[str]) -> float:
    output = run([harness.binaries() / "examples" / "match_rate", *rules, "--step", STEP, *options, events])
    return float(re.search(r"all +([\d.]+) events/s", output)[1])


def theirs(peer: pathlib.Path, sigma: pathlib.Path, scratch: pathlib.Path, options: list[str]) -> dict:
    return json.loads(run([peer, *options, sigma, scratch]))


def ratio(rules: list[str], sigma: pathlib.Path, events: pathlib.Path, scratch: pathlib.Path) -> None:
    peer = harness.binaries() / "sigma-peer"
    if not peer.exists():
        print(f"there is no {peer}: only our figures; bench/README.md says how it is built")
        harness.record("sigma/ratio", {"events_per_second": ours(rules, events, ["--repeat", str(ROUNDS)])})
        return
    run([harness.binaries() / "examples" / "sigma_export", *rules, "--step", STEP, "--into", scratch, events])
    ours(rules, events, ["--repeat", "1", "--matches", str(scratch / "ours.txt")])
    first = theirs(peer, sigma, scratch, ["--repeat", "0", "--matches", str(scratch / "theirs.txt")])
    matches = [set((scratch / name).read_text().splitlines()) for name in ("ours.txt", "theirs.txt")]
    different = matches[0] ^ matches[1]
    figures = {"events": first["events"], "matches": len(matches[0]), "different": len(different)}
    if different:
        harness.record("sigma/ratio", figures | {"examples": sorted(different)[:20]})
        return
    tried = {" ".join(flags): theirs(peer, sigma, scratch, ["--repeat", "1", *flags]) for flags in FLAGS}
    best = max(tried, key=lambda flags: tried[flags]["events_per_second"])
    mine, peers = [], []
    for _ in range(ROUNDS):
        mine.append(ours(rules, events, ["--repeat", "1"]))
        peers.append(theirs(peer, sigma, scratch, ["--repeat", "1", *best.split()])["events_per_second"])
    figures |= {
        "events_per_second": harness.median(mine),
        "rsigma_events_per_second": harness.median(peers),
        "rsigma_flags": best,
        "ratio": harness.median(mine) / harness.median(peers),
        "ratio_95": harness.interval(mine, peers),
    }
    harness.record("sigma/ratio", figures)


def run(command: list) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
