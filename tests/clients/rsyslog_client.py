"""rsyslog with omelasticsearch: what a machine's own syslog daemon sends, in bulk requests, kept until it is taken."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from debian_package import library
from proof import CREDENTIAL, RUN, SECURE_URL, URL, WAIT_SECONDS, WRONG, expect_rows, main
from server import free_port

NUM_LINES = 2_000
INDEX = "clientsrsyslog"
MODULES = "/usr/lib/x86_64-linux-gnu/rsyslog"

CONFIGURATION = """
module(load="imtcp")
input(type="imtcp" port="{port}" address="127.0.0.1")
module(load="{module}")
template(name="event" type="list") {{
  constant(value="{{")
  property(outname="TimeGenerated" name="timereported" format="jsonf" dateFormat="rfc3339") constant(value=",")
  property(outname="Computer" name="hostname" format="jsonf") constant(value=",")
  property(outname="ProcessName" name="programname" format="jsonf") constant(value=",")
  constant(value="\\"Run\\":\\"{run}\\",")
  property(outname="Message" name="msg" format="jsonf")
  constant(value="}}")
}}
action(
  type="omelasticsearch" server="{url}" searchIndex="{index}" searchType="" bulkmode="on" maxbytes="1m"
  uid="moneta" pwd="{credential}" template="event" errorFile="{directory}/errors.json"
  tls.cacert="{authority}" healthchecktimeout="5000"
  action.resumeRetryCount="-1" action.resumeInterval="1"
  queue.type="linkedList" queue.dequeueBatchSize="500" queue.timeoutShutdown="20000"
)
"""


class Rsyslog:
    """A daemon of its own with one output."""

    def __init__(self, url=URL, credential=CREDENTIAL):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moneta-rsyslog-"))
        self.port, self.url, self.credential = free_port(), url, credential

    def __enter__(self):
        module = library("rsyslog-elasticsearch", f"{MODULES}/omelasticsearch.so")
        text = CONFIGURATION.format(
            port=self.port, module=module, run=RUN, url=self.url, index=INDEX, credential=self.credential,
            directory=self.directory, authority=os.environ["SSL_CERT_FILE"],
        )
        (self.directory / "rsyslog.conf").write_text(text)
        command = ["rsyslogd", "-n", "-f", self.directory / "rsyslog.conf", "-i", self.directory / "pid"]
        self.log = open(self.directory / "log", "w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        return self

    def write(self, lines):
        """Gives it lines as another machine would."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                connection = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.said()
                time.sleep(0.1)
        with connection:
            connection.sendall("".join(f"<38>Jan  2 03:04:05 web01 sshd[7]: {line}\n" for line in lines).encode())

    def errors(self):
        """What was refused for good."""
        file = self.directory / "errors.json"
        return file.read_text() if file.exists() else ""

    def said(self):
        self.log.flush()
        return (self.directory / "log").read_text()

    def __exit__(self, *_):
        # In order: what is in its queue is sent first.
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=WAIT_SECONDS)
        self.log.close()
        shutil.rmtree(self.directory)


def expect(word, count):
    text = f"{INDEX}_CL | where Run == '{RUN}' and Message has '{word}' | summarize n = count(), d = dcount(Message, 4)"
    expect_rows(text, [{"n": count, "d": count}])


def send():
    """Plain HTTP from this machine, and TLS with the server's own authority."""
    with Rsyslog() as daemon:
        daemon.write(f"plain {number}" for number in range(NUM_LINES))
        expect("plain", NUM_LINES)
        assert daemon.errors() == "", daemon.errors()
    with Rsyslog(SECURE_URL) as daemon:
        daemon.write(f"secure {number}" for number in range(NUM_LINES))
        expect("secure", NUM_LINES)


def read():
    expect("plain", NUM_LINES)
    expect("secure", NUM_LINES)


def bad_input():
    """A control character and a quote are escaped by the template, and arrive as they are."""
    with Rsyslog() as daemon:
        daemon.write(['odd "quoted" \\ back\tslash ä'])
        expect("quoted", 1)


def bad_credential():
    """It is told in its own error file, and nothing is stored."""
    with Rsyslog(credential=WRONG) as daemon:
        daemon.write(["never stored"])
        deadline = time.monotonic() + WAIT_SECONDS
        while "credential" not in daemon.errors() and "401" not in daemon.said() + daemon.errors():
            assert time.monotonic() < deadline, f"{daemon.errors()} {daemon.said()}"
            time.sleep(0.2)
    expect("never", 0)


main(globals())
