"""Programs of Debian's that run in the background of a proof, and certificates for them."""

import atexit
import functools
import os
import signal
import subprocess
import threading
import time

from debian_package import look_up, unpacked
from server import START_SECONDS, WAIT_SECONDS


class Daemon:
    """A program with a directory of its own, in which `log` is what it says."""

    def __init__(self, directory, command, environment=None, **options):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.command, self.process = directory, command, None
        self.options = options | {"env": os.environ | (environment or {})}

    def start(self):
        log = open(self.directory / "log", "a")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, **self.options)
        # Also when what begins with it fails.
        atexit.register(self.kill)
        return self

    def stop(self):
        """Ends it in order: it keeps what it could not send."""
        self.process.terminate()
        self.process.wait(timeout=START_SECONDS)

    def restart(self):
        self.stop()
        self.start()

    def kill(self):
        """Ends it as a crash would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def wait_for(self, is_ready):
        """Waits until it is as expected."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_ready():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def said(self):
        return (self.directory / "log").read_text()


class Steady:
    """Calls `write` with the next numbers in the background, so many a second, until told to stop."""

    def __init__(self, write, per_second, first=0):
        self.write, self.written, self.halt = write, first, threading.Event()
        self.portion = max(1, per_second // 20)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.halt.is_set():
            self.write(range(self.written, self.written + self.portion))
            self.written += self.portion
            time.sleep(0.05)

    def stop(self):
        """Ends it; returns the number behind the last one."""
        self.halt.set()
        self.thread.join()
        return self.written


def certificates(directory):
    """An authority, and what it vouches for: `localhost`, and a sender; pairs of files by `.pem` and `.key`."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl(*new, "-subj", "/CN=Authority of the test", "-out", "authority.pem", "-keyout", "authority.key")
    signed = ["-CA", "authority.pem", "-CAkey", "authority.key", "-addext", "basicConstraints=critical,CA:FALSE"]
    for name, host in (("server", "localhost"), ("sender", "web01.example.com")):
        more = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-out", f"{name}.pem"]
        openssl(*new, *signed, *more, "-keyout", f"{name}.key")


@functools.cache
def directories(*packages):
    """Where the shared libraries and modules of packages are, unpacked."""
    look_up(packages)
    files = [file for package in packages for file in unpacked(package).rglob("*.so*")]
    return sorted({str(file.parent) for file in files})


def runs(numbers):
    """Numbers in order as pairs of the first and the last of each gapless run."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
