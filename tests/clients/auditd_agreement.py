"""The audit daemon's own reader, `ausearch` of Debian's package, and the server over the same logs: the same events.

Compared are each event's time and serial, the types of its records and, field by field, what its records say of process,
accounts and program. The logs are those of the samples (MONETA_CORPUS); where there are none, nothing is run.
With MONETA_AUDITD=1, and root's rights, the daemon itself is run too: it takes the kernel's events of a rule that is
removed again, its log is followed, and the server is killed meanwhile. MONETA_BIN names the program.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from debian_daemons import Daemon, directories
from debian_package import unpacked
from server import Proof

PACKAGES = ("auditd", "libauparse0", "libaudit1", "libwrap0", "libnsl2", "libtirpc3", "libcap-ng0")
HEAD = re.compile(r"^(?:node=\S+ )?type=(\S+) msg=audit\((\d+)\.(\d{3}):(\d+)\):\s?(.*)$")
FIELD = re.compile(r"""(?:^|[ '"])(pid|uid|auid|exe)=("[^"]*"|[^ '"]+)""")
COLUMNS = {"pid": "ProcessId", "uid": "Uid", "auid": "Auid", "exe": "Executable"}
AGREEMENT_MIN = 0.99
KEY = "moneta-proof"
NUM_EVENTS = int(os.environ.get("MONETA_AUDIT_EVENTS", "400"))


def tool(name, *arguments):
    """What a program of the package prints."""
    environment = os.environ | {"LD_LIBRARY_PATH": ":".join(directories(*PACKAGES)), "TZ": "UTC"}
    command = [unpacked("auditd") / "sbin" / name, *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")


def by_ausearch(file):
    """Events by time in milliseconds and serial: their records' types, and fields of the record that has them first."""
    found = collections.defaultdict(lambda: ([], {}))
    for line in tool("ausearch", "-if", str(file), "--format", "raw").splitlines():
        if head := HEAD.match(line):
            kind, seconds, millis, serial, text = head.groups()
            types, fields = found[int(seconds) * 1000 + int(millis), int(serial)]
            types.append(kind)
            for name, value in FIELD.findall(text):
                fields.setdefault(name, program(value) if name == "exe" else value)
    # The end of an event is no record of it.
    return {key: (sorted(set(types) - {"EOE"}), fields) for key, (types, fields) in found.items()}


def program(value):
    """A path; one with blanks in it is in hexadecimal digits instead of quotes."""
    return bytes.fromhex(value).decode() if re.fullmatch("([0-9A-F]{2})+", value) else value.strip('"')


class AuditProof(Proof):
    """The server, which follows logs of the audit daemon."""

    def __init__(self, directory, files):
        settings = {
            "MONETA_COLLECT__ENABLED": "true",
            "MONETA_COLLECT__FILES": json.dumps([str(files)]),
            "MONETA_COLLECT__SYSTEMD_JOURNAL": "false",
            "MONETA_COLLECT__PERFORMANCE_INTERVAL_SECONDS": "0",
            "MONETA_COLLECT__PROCESS_INTERVAL_SECONDS": "0",
        }
        super().__init__(directory, settings)

    def events(self, file):
        """The same as `by_ausearch` of what is stored."""
        columns = ", ".join(COLUMNS.values())
        rows = self.query(
            f"LinuxAudit_CL | where _Source == 'file/{file}' | project"
            f" tolong(round((TimeGenerated - datetime(1970-01-01)) / 1ms)), Serial, RecordTypes, {columns}"
        )
        found = collections.defaultdict(lambda: ([], {}))
        for millis, serial, types, *values in (row for row in rows if isinstance(row, list)):
            # A sample that is not in order of time has records of one event far apart, which are rows of their own.
            found[millis, serial][0].extend(types.split(","))
            for name, value in zip(COLUMNS, values):
                if value not in (None, ""):
                    found[millis, serial][1].setdefault(name, str(value))
        return {key: (sorted(set(types)), fields) for key, (types, fields) in found.items()}


def differences(theirs, ours):
    """What the two say of an event that differs, as texts."""
    if ours is None:
        return ["not there"]
    (their_types, their_fields), (our_types, our_fields) = theirs, ours
    found = [] if their_types == our_types else [f"types {their_types} and {our_types}"]
    for name, value in their_fields.items():
        value = {"4294967295": "unset", "?": None}.get(value, value)
        if our_fields.get(name) != value:
            found.append(f"{name} {value} and {our_fields.get(name)}")
    return found


def compare(proof, log):
    """Compares the events of one log; returns how many agree, and how many there are."""
    theirs = by_ausearch(log)
    proof.until(f"all events of {log.name}", lambda: len(proof.events(log)) >= len(theirs), True)
    ours = proof.events(log)
    differing = {key: found for key, event in theirs.items() if (found := differences(event, ours.get(key)))}
    for (millis, serial), found in differing.items():
        print(f"{log.name} {millis / 1000:.3f}:{serial}: {'; '.join(found)}", flush=True)
    for key in sorted(ours.keys() - theirs.keys()):
        print(f"{log.name} {key[0] / 1000:.3f}:{key[1]}: {ours[key][0]}, which ausearch passes over", flush=True)
    return len(theirs) - len(differing), len(theirs)


def samples(logs):
    """Compares the logs of the samples."""
    with tempfile.TemporaryDirectory(prefix="moneta-auditd-") as directory:
        directory = pathlib.Path(directory)
        # Whole lines: an unfinished last one is waited for.
        for log in logs:
            (directory / log.name).write_bytes(log.read_bytes().rstrip(b"\n") + b"\n")
        proof = AuditProof(directory, directory / "*.log")
        try:
            agreed, events = map(sum, zip(*(compare(proof, directory / log.name) for log in logs)))
            proof.server.stop()
        finally:
            if proof.server.process.poll() is None:
                proof.server.kill()
    print(f"{agreed} of {events} events agree with ausearch", flush=True)
    assert agreed >= AGREEMENT_MIN * events, "too few events agree"


class Auditd(Daemon):
    """The daemon, with a rule for what is written in a directory; what the kernel had before is restored."""

    def __init__(self, directory):
        self.watched, self.log = directory / "watched", directory / "audit.log"
        self.watched.mkdir()
        config = {
            "log_file": self.log,
            "log_format": "RAW",
            "log_group": "root",
            "flush": "INCREMENTAL_ASYNC",
            "freq": 50,
            "num_logs": 9,
            "max_log_file": 8,
            "max_log_file_action": "ROTATE",
            "name_format": "NONE",
            "space_left": 75,
            "admin_space_left": 50,
            "plugin_dir": directory,
        }
        (directory / "auditd.conf").write_text("".join(f"{name} = {value}\n" for name, value in config.items()))
        command = [unpacked("auditd") / "sbin/auditd", "-n", "-c", directory]
        super().__init__(directory / "auditd", command, {"LD_LIBRARY_PATH": ":".join(directories(*PACKAGES))})
        self.was_enabled = self.state("enabled")
        self.rule = ["-w", str(self.watched), "-p", "wa", "-k", KEY]

    def state(self, name):
        return dict(line.split()[:2] for line in tool("auditctl", "-s").splitlines())[name]

    def start(self):
        assert self.state("pid") == "0", "an audit daemon runs already"
        super().start()
        self.wait_for(lambda: self.state("pid") != "0")
        tool("auditctl", *self.rule)
        return self

    def end(self):
        tool("auditctl", "-W", *self.rule[1:])
        self.stop()
        tool("auditctl", "-e", self.was_enabled)

    def cause(self, number):
        (self.watched / f"number-{number}").touch()

    def rotate(self):
        """As its own rotation by size does it."""
        self.process.send_signal(signal.SIGUSR1)


def live():
    """Every event of the running daemon is there once, though the server is killed, also while the log is rotated."""
    with tempfile.TemporaryDirectory(prefix="moneta-auditd-") as directory:
        directory = pathlib.Path(directory)
        daemon = Auditd(directory).start()
        proof = AuditProof(directory, daemon.log)
        try:
            for number in range(NUM_EVENTS):
                daemon.cause(number)
                if number % (NUM_EVENTS // 4) == 1:
                    daemon.rotate()
                    proof.server.kill()
                    daemon.cause("away")
                    time.sleep(1)
                    daemon.rotate()
                    time.sleep(1)
                    proof.server.start()
            made = f"LinuxAudit_CL | where Key == '{KEY}' | extend number = extract('number-([0-9]+)', 1, FilePath)"
            count = f"{made} | where number != '' | summarize n = count() by number | summarize count(), sum(n)"
            proof.until("events of the daemon", lambda: proof.query(count), [[NUM_EVENTS, NUM_EVENTS]])
            daemon.end()
            logs = sorted(directory.glob("audit.log*"))
            theirs = {key: event for log in logs for key, event in by_ausearch(log).items()}
            proof.until("events of ausearch", lambda: len(proof.events(daemon.log)) >= len(theirs), True)
            ours = proof.events(daemon.log)
            wrong = {key: found for key, event in theirs.items() if (found := differences(event, ours.get(key)))}
            print(f"{len(theirs)} events in {len(logs)} files, {len(wrong)} differ from ausearch: {list(wrong.items())[:5]}")
            assert len(wrong) <= (1 - AGREEMENT_MIN) * len(theirs), wrong
            proof.server.stop()
        finally:
            if daemon.process.poll() is None:
                daemon.end()
            if proof.server.process.poll() is None:
                proof.server.kill()


def main():
    logs = sorted((pathlib.Path(os.environ.get("MONETA_CORPUS", "")) / "samples" / "auditd").glob("*.log"))
    if shutil.which("apt-get") is None:
        print("auditd: not run, this is no Debian", file=sys.stderr)
    elif logs:
        samples(logs)
    else:
        print("auditd: there are no samples under MONETA_CORPUS: not compared", file=sys.stderr)
    if os.environ.get("MONETA_AUDITD") == "1":
        live()


if __name__ == "__main__":
    main()
