"""Runs the measured programs, and says what they used: time, CPU, memory, disk. Judges nothing."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import harness

TICK = os.sysconf("SC_CLK_TCK")
# Time between two looks at a program's memory: a peak that is shorter is only seen by the kernel, which keeps it.
LOOK = 0.02


def scratch() -> pathlib.Path:
    """A new directory for one run; on the disk that TMPDIR names."""
    return pathlib.Path(tempfile.mkdtemp(prefix="moneta-bench-"))


def discard(directory: pathlib.Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port: int) -> bool:
    """Whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def bytes_below(directory: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment without Moneta's variables, so that only the benchmark configures it; ports are free ones."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MONETA_")}
    own |= {
        "MONETA_SERVER__LISTEN": "127.0.0.1:0",
        "MONETA_SYSLOG__TCP_LISTEN": "127.0.0.1:0",
        "MONETA_SYSLOG__UDP_LISTEN": "127.0.0.1:0",
        "MONETA_COLLECT__ENABLED": "false",
        "MONETA_STORE__RESERVE_BYTES": "0",
        "MONETA_RULES__STARTER": "false",
        "MONETA_LOG": "warn",
    }
    return own | (extra or {})


class Process:
    """A program under measurement. CPU seconds are those of its whole life, as the kernel counts them at its end."""

    def __init__(self, command: list, log: pathlib.Path, extra: dict[str, str] | None = None, pinned=True):
        core = harness.cores()[0] if pinned else None
        self.began = time.monotonic()
        self.handle = subprocess.Popen(
            [str(part) for part in command],
            stdout=open(log, "wb"),
            stderr=subprocess.STDOUT,
            env=environment(extra),
            preexec_fn=(lambda: os.sched_setaffinity(0, core)) if core else None,
        )
        self.pid, self.log = self.handle.pid, log
        self.peak_rss_mib, self.cpu_seconds, self.wall_seconds = 0.0, 0.0, 0.0
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()

    def _watch(self) -> None:
        # Not ru_maxrss: that begins with the size of the parent, which holds the input.
        while self.handle.returncode is None:
            try:
                text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            if peak := re.search(r"VmHWM:\s+(\d+) kB", text):
                self.peak_rss_mib = max(self.peak_rss_mib, int(peak[1]) / 1024)
            time.sleep(LOOK)

    def cpu_now(self) -> float:
        """CPU seconds until now, from /proc/PID/stat: user and system time, fields 14 and 15."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def wait(self) -> int:
        _, status, usage = os.wait4(self.pid, 0)
        self.wall_seconds = time.monotonic() - self.began
        self.handle.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.handle.returncode

    def stop(self) -> int:
        """A clean shutdown: what is in memory becomes segments."""
        self.handle.send_signal(signal.SIGTERM)
        return self.wait()


class Server(Process):
    """`moneta serve` on a data directory, with a credential to send and to ask."""

    def __init__(self, programs: pathlib.Path, directory: pathlib.Path, extra: dict[str, str] | None = None):
        self.moneta, self.data = programs / "moneta", directory / "data"
        log = directory / "server.log"
        super().__init__([self.moneta, "--data-dir", self.data, "serve"], log, extra)
        self.address = harness.wait_until(
            "the server is ready", lambda: self._said(r"ready at http://(\S+)"), seconds_max=120, pause=0.01
        )
        self.ready_seconds = time.monotonic() - self.began
        self.syslog_port = int(self._said(r"syslog tcp 127\.0\.0\.1:(\d+)"))
        name = f"bench-{self.pid}"
        scopes = ["--scope", "ingest", "--scope", "query", "--scope", "admin"]
        self.credential = directory / "credential"
        self.credential.unlink(missing_ok=True)
        self.command("credential", "create", "--name", name, *scopes, "--out", self.credential)
        self.secret = self.credential.read_text().strip()

    def _said(self, pattern: str) -> str | None:
        if self.handle.poll() is not None:
            raise SystemExit(f"the server ended: {self.log.read_text()}")
        found = re.search(pattern, self.log.read_text())
        return found[1] if found else None

    def command(self, *arguments) -> str:
        command = [str(part) for part in (self.moneta, "--data-dir", self.data, *arguments)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode > 1:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def client(self) -> "Client":
        return Client(self.address, self.secret)

    def num_rows(self, client: "Client", table: str) -> int:
        tables = client.get("/v1/status")["tables"]
        return next((entry["num_rows"] for entry in tables if entry["name"] == table), 0)


class Client:
    """One kept-alive HTTP connection."""

    def __init__(self, address: str, secret: str):
        self.connection = http.client.HTTPConnection(address, timeout=600)
        self.headers = {"Authorization": f"Bearer {secret}"}

    def get(self, path: str) -> dict:
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes, kind: str = "application/json") -> dict:
        return self._ask("POST", path, body, {"Content-Type": kind})

    def query(self, text: str) -> list[list]:
        """The rows of a query, over the Kusto route."""
        body = json.dumps({"db": "moneta", "csl": text}).encode()
        return self.post("/v1/rest/query", body)["Tables"][0]["Rows"]

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict) -> dict:
        self.connection.request(method, path, body, self.headers | headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:500]!r}")
        return json.loads(text)


def stored_bytes(data: pathlib.Path) -> dict[str, int]:
    """Bytes of a data directory after a clean shutdown."""
    parts = ("store", "ledger", "journal")
    return {part: bytes_below(data / part) for part in parts} | {"all": bytes_below(data)}
