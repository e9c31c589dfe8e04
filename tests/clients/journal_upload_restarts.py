"""systemd-journal-upload to a server that is killed, and itself ended and killed: no entry is lost.

A journal is written by systemd-journal-remote from numbered entries in the export format, as long as the proof lasts,
and followed by systemd-journal-upload over TLS with a certificate. An upload that nobody answered is sent again, so that
what was stored of it comes twice: this is counted. MONETA_BIN names the program.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from debian_daemons import Daemon, Steady, certificates, directories
from debian_package import unpacked
from server import Proof, free_port

KILLS = int(os.environ.get("MONETA_JOURNAL_UPLOAD_KILLS", "2"))
PER_SECOND = 400
EXAMPLE = pathlib.Path(__file__).parent.parent.parent / "docs" / "examples" / "journal-upload.conf"
OPTIONS = {"URL": "url", "ServerKeyFile": "key", "ServerCertificateFile": "cert", "TrustedCertificateFile": "trust"}
PLACES = {
    "moneta.example.com": "localhost",
    "/etc/ssl/certs/moneta-ca.pem": "{directory}/authority.pem",
    "/etc/ssl/private": "{directory}",
    "/etc/ssl/certs": "{directory}",
    ":19532": ":{port}",
}


def program(name):
    return unpacked("systemd-journal-remote") / "lib/systemd" / name


def environment():
    packages = ("systemd-journal-remote", "libsystemd-shared", "libmicrohttpd12")
    return {"LD_LIBRARY_PATH": ":".join(directories(*packages))}


def options(directory, port):
    """The example of the documentation as options, with what is of this machine in it."""
    text = EXAMPLE.read_text()
    for place, own in PLACES.items():
        text = text.replace(place, own.format(directory=directory, port=port))
    lines = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return [f"--{OPTIONS[name]}={value}" for name, value in lines]


class Journal:
    """A journal file that grows."""

    def __init__(self, directory):
        self.file, self.number = directory / "test.journal", 0
        command = [program("systemd-journal-remote"), "--output", self.file, "-"]
        log = open(directory / "remote.log", "w")
        self.process = subprocess.Popen(command, env=os.environ | environment(), stdin=subprocess.PIPE, stdout=log, stderr=log)

    def write(self, numbers):
        for number in numbers:
            fields = {
                "__REALTIME_TIMESTAMP": time.time_ns() // 1000,
                "__MONOTONIC_TIMESTAMP": time.monotonic_ns() // 1000,
                "_BOOT_ID": "0123456789abcdef0123456789abcdef",
                "_MACHINE_ID": "fedcba9876543210fedcba9876543210",
                "_HOSTNAME": "web01",
                "PRIORITY": 6,
                "SYSLOG_IDENTIFIER": "door",
                "MESSAGE": f"number={number}",
            }
            text = "".join(f"{name}={value}\n" for name, value in fields.items())
            self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0, "systemd-journal-remote did not end in order"


class Upload(Daemon):
    """systemd-journal-upload, started again when it gives up, as its unit says."""

    def __init__(self, directory, port, journal):
        command = [program("systemd-journal-upload"), *options(directory, port), f"--file={journal}", "--follow"]
        command.append(f"--save-state={directory}/upload/state")
        super().__init__(directory / "upload", command, environment())

    def stop(self):
        if self.process.poll() is None:
            super().stop()

    def keep(self):
        """Starts it again where it gave up."""
        if self.process.poll() is not None:
            self.start()


def counted(proof):
    """How often each number is stored."""
    own = "Syslog | where ProcessName == 'door' and _Source == 'journal-upload/web01.example.com'"
    rows = proof.query(f"{own} | summarize n = count() by number = toint(substring(SyslogMessage, 7)) | project number, n")
    return dict(rows) if rows and isinstance(rows[0], list) else {}


def main():
    with tempfile.TemporaryDirectory(prefix="moneta-journal-upload-") as directory:
        directory = pathlib.Path(directory)
        certificates(directory)
        port = free_port()
        settings = {
            "MONETA_JOURNAL_UPLOAD__LISTEN": f"127.0.0.1:{port}",
            "MONETA_JOURNAL_UPLOAD__TLS": "true",
            "MONETA_SYSLOG__TLS_CERTIFICATE": f"{directory}/server.pem",
            "MONETA_SYSLOG__TLS_KEY": f"{directory}/server.key",
            "MONETA_SYSLOG__TLS_CLIENT_AUTHORITY": f"{directory}/authority.pem",
        }
        proof = Proof(directory, settings)
        journal = Journal(directory)
        entries = Steady(journal.write, PER_SECOND)
        upload = None
        try:
            proof.until("the journal is there", journal.file.exists, True)
            upload = Upload(directory, port, journal.file).start()
            for kill in range(KILLS):
                time.sleep(0.5)
                proof.until("more is stored", lambda: upload.keep() or len(counted(proof)) > kill * PER_SECOND, True)
                proof.restart()
                upload.keep()
                time.sleep(0.5)
                # In order, and as a crash would.
                upload.stop() if kill % 2 == 0 else upload.kill()
                upload.start()
            written = entries.stop()
            journal.close()
            proof.until("different entries stored", lambda: upload.keep() or len(counted(proof)), written)
            upload.stop()
            found = counted(proof)
            assert sorted(found) == list(range(written)), "other numbers"
            proof.server.stop()
        finally:
            entries.halt.set()
            if upload is not None:
                upload.kill()
            if proof.server.process.poll() is None:
                proof.server.kill()
    doubled = sum(found.values()) - written
    print(f"{written} entries through {KILLS} kills of either side: none lost, {doubled} twice", flush=True)


if __name__ == "__main__":
    main()
