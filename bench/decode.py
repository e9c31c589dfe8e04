"""What one core decodes in a second, format by format: bytes into columns, nothing stored, nothing scrubbed.

Text comes from the corpus (`MONETA_CORPUS`): the lines of a format's samples again and again, behind the lines that a
file of it begins with. Without the corpus only generated inputs are measured, and the others are said to be left out.
BINARIES_DIR holds the example: `cargo build --profile relfast -p moneta-formats --example decode`.
"""

import pathlib
import re
import subprocess
import tempfile

import harness
import inputs

# Bytes of an input of text.
INPUT_BYTES = harness.setting("DECODE_MB", 24) * 1_000_000
# Format, samples below the corpus, beginnings of lines that only a file's head has.
TEXTS = [
    ("syslog", "samples/syslog_auth/sshd", "#"),
    ("w3c", "samples/iis_w3c/Tunna_rdp_tunnel_IIS.log", "#"),
    ("weblog", "samples/web_access/*.txt", None),
    ("auditd", "samples/auditd/testdata_auditd_log.txt", None),
    ("zeek", "samples/zeek/logfile_bro_http.log.0", "#"),
    ("cmtrace", "samples/system_center/*.log", None),
    ("csv", "samples/azure_security_alerts/*.csv", "header"),
    ("ids-text", "samples/suricata/*fast.log", None),
    ("storage-analytics", "samples/azure_storage/*.log", None),
]
JSON = [
    ("ndjson: winlogbeat", "samples/winlogbeat_json/winlogbeat6*.json"),
    ("ndjson: sign-ins", "samples/azure_signin/*.jsonl"),
    ("ndjson: suricata", "samples/suricata_eve/*.json"),
    ("ndjson: osquery", "samples/hids/osqueryd.results.log"),
]


def main() -> None:
    example = harness.binaries() / "examples" / "decode"
    if not example.exists():
        return print("decode: build it with cargo build --profile relfast -p moneta-formats --example decode")
    lines = inputs.syslog_lines(100_000)
    measure(example, "syslog: generated", "syslog", [repeated(b"", lines)])
    measure(example, "ndjson: generated", "ndjson", [repeated(b"", inputs.process_lines(50_000))])
    for name, pattern, head in TEXTS:
        if parts := text(pattern, head):
            measure(example, name, name, [repeated(*parts)])
    for name, pattern in JSON:
        if parts := text(pattern, None):
            measure(example, name, "ndjson", [repeated(*parts)])
    if harness.corpus("samples/evtx") is None:
        print("samples/evtx: corpus not present, not measured")
    else:
        files = [path.read_bytes() for path in samples("samples/evtx/*.evtx") if path.stat().st_size > 1_000_000]
        measure(example, "evtx", "evtx", files)


def samples(pattern: str) -> list[pathlib.Path]:
    root = harness.corpus("")
    return sorted(root.glob(pattern)) if root else []


def text(pattern: str, head: str | None) -> tuple[bytes, list[bytes]] | None:
    """The head of the samples and their other lines; None, said, where there are none."""
    files = samples(pattern)
    if not files:
        print(f"{pattern}: corpus not present, not measured")
        return None
    lines = [line + b"\n" for path in files for line in path.read_bytes().splitlines() if line.strip()]
    if head == "header":
        return lines[0], lines[1:]
    is_head = (lambda line: line.startswith(head.encode())) if head else (lambda line: False)
    if "syslog_auth" in pattern:
        return b"", [line for line in lines if not is_head(line)]
    return b"".join(line for line in lines if is_head(line)), [line for line in lines if not is_head(line)]


def repeated(head: bytes, lines: list[bytes]) -> bytes:
    body = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    return head + body * max(1, INPUT_BYTES // max(1, len(body)))


def measure(example: pathlib.Path, name: str, format_name: str, contents: list[bytes]) -> None:
    """Decodes inputs a few times and keeps the median."""
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for number, content in enumerate(contents):
            paths.append(f"{directory}/{number}")
            pathlib.Path(paths[-1]).write_bytes(content)
        rounds = [decode(example, format_name, paths) for _ in range(harness.setting("ROUNDS", 5))]
    figures = {key: harness.median([one[key] for one in rounds]) for key in ("mb_per_second", "records_per_second")}
    figures |= {"records": rounds[0]["records"], "quarantined": rounds[0]["quarantined"]}
    harness.record(f"decode/{name}", figures)


def decode(example: pathlib.Path, format_name: str, paths: list[str]) -> dict:
    own, _ = harness.cores()
    pinned = ["taskset", "-c", str(next(iter(own)))] if own else []
    said = subprocess.check_output([*pinned, str(example), "--format", format_name, *paths], text=True)
    found = re.search(r"(\d+) records, .*?(\d+) quarantined, .*?: (\d+) records/s, (\d+) MB/s", said)
    assert found, said
    records, quarantined, rate, mb = map(int, found.groups())
    return {"records": records, "quarantined": quarantined, "records_per_second": rate, "mb_per_second": mb}


if __name__ == "__main__":
    main()
