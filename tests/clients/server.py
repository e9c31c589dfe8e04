"""A server of its own for a proof: started, killed, stopped, asked."""

import json
import os
import signal
import socket
import subprocess
import time

START_SECONDS = 60
WAIT_SECONDS = 120


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """The program on a directory and a port of its own."""

    def __init__(self, program, directory, settings):
        self.program, self.directory, self.settings, self.process = program, directory, settings, None
        self.port, self.gelf_port, self.fluent_port = free_port(), free_port(), free_port()

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MONETA_")}
        environment |= {
            "MONETA_DATA_DIR": str(self.directory / "data"),
            "MONETA_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "MONETA_SYSLOG__ENABLED": "false",
            "MONETA_COLLECT__ENABLED": "false",
            "MONETA_STORE__RESERVE_BYTES": "0",
            "MONETA_RULES__STARTER": "false",
            "MONETA_GELF__UDP_LISTEN": f"127.0.0.1:{self.gelf_port}",
            "MONETA_GELF__TCP_LISTEN": f"127.0.0.1:{self.gelf_port}",
            "MONETA_FLUENT__LISTEN": f"127.0.0.1:{self.fluent_port}",
        } | self.settings
        log = open(self.directory / "server.log", "a")
        self.process = subprocess.Popen(
            [self.program, "serve", "--json"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        self.ready = json.loads(self.process.stdout.readline() or "null")
        if self.ready is None:
            raise SystemExit(f"the server did not start:\n{(self.directory / 'server.log').read_text()}")

    def kill(self):
        """Ends it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ends it in order."""
        self.process.terminate()
        assert self.process.wait(timeout=START_SECONDS) == 0, "the server did not end in order"

    def credential(self, name):
        """A credential that may send and query."""
        import requests

        administrator = (self.directory / "data" / "cli.credential").read_text().strip()
        answer = requests.post(
            f"http://127.0.0.1:{self.port}/v1/credentials",
            json={"name": name, "scopes": ["ingest", "query", "admin"]},
            headers={"Authorization": f"Bearer {administrator}"},
            timeout=30,
        )
        assert answer.status_code == 201, answer.text
        return answer.json()


class Proof:
    """A server that reads numbered records, and what is asked of it."""

    def __init__(self, directory, settings):
        self.server = Server(os.environ["MONETA_BIN"], directory, settings)
        self.server.start()
        self.credential = self.server.credential("proof")["credential"]

    def get(self, path):
        """What the server's interface answers its administrator."""
        import requests

        administrator = (self.server.directory / "data" / "cli.credential").read_text().strip()
        headers = {"Authorization": f"Bearer {administrator}"}
        answer = requests.get(f"http://127.0.0.1:{self.server.port}/{path}", headers=headers, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def query(self, text):
        """Rows of a query."""
        import requests

        answer = requests.post(
            f"http://127.0.0.1:{self.server.port}/v1/rest/query",
            json={"db": "Moneta", "csl": text},
            headers={"Authorization": f"Bearer {self.credential}"},
            timeout=60,
        )
        if not answer.ok:
            # A table comes into being with its first event.
            return [answer.text]
        return answer.json()["Tables"][0]["Rows"]

    def numbers(self, table):
        """Records, different numbers, and the highest one: counted without guessing."""
        rows = self.query(
            f"{table} | summarize n = count() by number = tolong(number)"
            " | summarize records = sum(n), numbers = count(), last = max(number)"
        )
        return rows[0]

    def collector(self, name):
        """What is said of a collector."""
        (one,) = [one for one in self.get("v1/status")["collectors"] if one["name"] == name]
        return one

    def until(self, what, found, expected):
        """Waits until something is as expected."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (seen := found()) != expected:
            assert time.monotonic() < deadline, f"{what}: {seen}, not {expected}"
            time.sleep(0.2)
        print(f"{what}: {expected}", flush=True)

    def restart(self):
        """Kills the server and starts it again."""
        self.server.kill()
        self.server.start()
