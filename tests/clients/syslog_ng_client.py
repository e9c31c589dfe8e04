"""syslog-ng with its http destination: lines of a file as events of Splunk's HTTP Event Collector, many in a request."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from debian_package import unpacked
from proof import CREDENTIAL, RUN, URL, WAIT_SECONDS, WRONG, expect_rows, main

PACKAGES = ["syslog-ng-core", "syslog-ng-mod-http", "libivykis0", "libpcre3"]
NUM_LINES = 500

CONFIGURATION = """
@version: 3.38
source lines {{ file("{directory}/lines.log" follow-freq(0.1)); }};
destination moneta {{
  http(
    url("{url}/services/collector/event") method("POST")
    headers("Authorization: Splunk {credential}")
    body('{body}') delimiter("\\n") batch-lines(100) batch-timeout(200)
    time-reopen(1) retries(2)
  );
}};
log {{ source(lines); destination(moneta); }};
"""
EVENT = '{"index":"clientssyslogng_CL","host":"$HOST","event":$(format-json run=%s message=$MESSAGE program=$PROGRAM)}'


class SyslogNg:
    """A daemon of its own with one output."""

    def __init__(self, credential=CREDENTIAL, body=EVENT % RUN):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moneta-syslog-ng-"))
        self.credential, self.body = credential, body

    def __enter__(self):
        text = CONFIGURATION.format(directory=self.directory, url=URL, credential=self.credential, body=self.body)
        (self.directory / "syslog-ng.conf").write_text(text)
        (self.directory / "lines.log").write_text("")
        roots = [unpacked(package) for package in PACKAGES]
        libraries = {str(file.parent) for root in roots for file in root.rglob("*.so*")}
        modules = {str(file.parent) for root in roots for file in root.rglob("libhttp.so")}
        # The modules of one package in one directory, as installing them would.
        modules = ":".join(sorted(modules | {str(next(roots[0].rglob("libaffile.so")).parent)}))
        command = [next(roots[0].rglob("sbin/syslog-ng")), "-F", "--no-caps", "--stderr"]
        command += ["-f", self.directory / "syslog-ng.conf", "--module-path", modules]
        command += ["-R", self.directory / "persist", "-c", self.directory / "control", "-p", self.directory / "pid"]
        environment = os.environ | {"LD_LIBRARY_PATH": ":".join(sorted(libraries))}
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        self.wait_for("syslog-ng starting up")
        return self

    def write(self, lines):
        with open(self.directory / "lines.log", "a") as file:
            file.writelines(f"<38>Jan  2 03:04:05 web01 sshd[7]: {line}\n" for line in lines)

    def wait_for(self, word):
        deadline = time.monotonic() + WAIT_SECONDS
        while word not in (said := (self.directory / "log").read_text()):
            assert self.process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.2)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=WAIT_SECONDS)
        self.log.close()
        shutil.rmtree(self.directory)


def expect(word, count):
    text = f"clientssyslogng_CL | where run == '{RUN}' and message has '{word}' | summarize n = count(), d = dcount(message, 4)"
    expect_rows(text, [{"n": count, "d": count}])


def send():
    with SyslogNg() as daemon:
        daemon.write(f'step {number} says "so" \\ tab\there' for number in range(NUM_LINES))
        expect("step", NUM_LINES)


def read():
    expect("step", NUM_LINES)


def bad_input():
    """What is no event is refused, and the daemon says so."""
    with SyslogNg(body="no event") as daemon:
        daemon.write(["never stored"])
        daemon.wait_for("status_code='400'")


def bad_credential():
    with SyslogNg(credential=WRONG) as daemon:
        daemon.write(["never stored"])
        daemon.wait_for("status_code='403'")
    expect("never", 0)


main(globals())
