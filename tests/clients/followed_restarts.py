"""Logs of nginx and PostgreSQL, followed by a server that is killed, while they are rotated: every line once.

Each request and each statement has a number of its own. nginx' logs are rotated by renaming and USR1 under load, also
while the server is away; PostgreSQL rotates its own, and is restarted. MONETA_BIN names the program.
"""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from debian_daemons import Daemon, Steady, directories
from debian_package import look_up, unpacked
from server import Proof, free_port

KILLS = int(os.environ.get("MONETA_FOLLOW_KILLS", "2"))
PER_SECOND = 200
EXAMPLE = pathlib.Path(__file__).parent.parent.parent / "docs" / "examples" / "postgresql.conf"

NGINX = """
daemon off;
pid {directory}/pid;
error_log {directory}/error.log error;
{user}
events {{ }}
http {{
  access_log {directory}/access.log combined;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    location /number/ {{ return 200 "ok"; }}
    location /missing/ {{ root {directory}/nowhere; }}
  }}
}}
"""

POSTGRESQL = """
listen_addresses = ''
unix_socket_directories = '{directory}'
fsync = off
jit = off
{example}
log_destination = 'jsonlog,stderr'
log_directory = '{directory}/logs'
log_filename = 'postgresql-%Y%m%d%H%M%S.log'
log_statement = 'all'
"""


class Nginx(Daemon):
    """nginx that answers `/number/N`, and finds no `/missing/N`."""

    def __init__(self, directory):
        self.port, self.connection, self.rotations = free_port(), None, 0
        program = unpacked("nginx") / "usr/sbin/nginx"
        command = [program, "-p", directory, "-c", directory / "nginx.conf", "-e", directory / "error.log"]
        super().__init__(directory, command, {"LD_LIBRARY_PATH": ":".join(directories("libpcre2-8-0"))})
        # Workers of another user could not open logs in a directory of root's.
        user = "user root root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(NGINX.format(directory=directory, port=self.port, user=user))

    def start(self):
        super().start()
        self.wait_for(lambda: listens(socket.AF_INET, ("127.0.0.1", self.port)))
        return self

    def ask(self, numbers):
        """A request for each number, and one for every tenth that fails."""
        for number in numbers:
            self.get(f"/number/{number}")
            if number % 10 == 0:
                self.get(f"/missing/{number}")

    def get(self, path):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        self.connection.request("GET", path)
        self.connection.getresponse().read()

    def rotate(self):
        """As logrotate does it."""
        self.rotations += 1
        for name in ("access.log", "error.log"):
            os.rename(self.directory / name, self.directory / f"{name}.{self.rotations}")
        self.process.send_signal(signal.SIGUSR1)


class Postgresql(Daemon):
    """PostgreSQL that logs every statement, as JSON and as text."""

    LIBRARIES = ("libpq5", "libicu72", "libxml2", "libldap-2.5-0")

    def __init__(self, directory):
        # It refuses to run as root, whose unpacked packages others cannot read.
        self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        version = "15"
        for package in (f"postgresql-{version}", f"postgresql-client-{version}"):
            leave = shutil.ignore_patterns("bitcode", "doc", "man", "locale")
            shutil.copytree(unpacked(package) / "usr", directory / "usr", ignore=leave, dirs_exist_ok=True)
        libraries = directory / "libraries"
        libraries.mkdir()
        for file in [file for found in directories(*self.LIBRARIES) for file in pathlib.Path(found).glob("*.so*")]:
            shutil.copy(file, libraries)
        self.bin = directory / "usr/lib/postgresql" / version / "bin"
        command = [self.bin / "postgres", "-D", directory / "data"]
        super().__init__(directory, command, {"LD_LIBRARY_PATH": str(libraries)}, **self.user)
        self.sql = None
        for name in (".", "data", "logs"):
            (directory / name).mkdir(exist_ok=True)
            if self.user:
                shutil.chown(directory / name, "nobody", "nogroup")
        make = [self.bin / "initdb", "-D", directory / "data", "-U", "owner", "-A", "trust", "-N", "--locale=C.UTF-8"]
        subprocess.run(make, check=True, capture_output=True, **self.options)
        with open(directory / "data/postgresql.conf", "a") as config:
            config.write(POSTGRESQL.format(directory=directory, example=EXAMPLE.read_text()))

    def start(self):
        super().start()
        self.wait_for(lambda: listens(socket.AF_UNIX, f"{self.directory}/.s.PGSQL.5432"))
        self.sql = subprocess.Popen(self.psql("-o", "/dev/null"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, **self.options)
        return self

    def execute(self, numbers):
        """A statement of two lines for each number; every tenth fails."""
        for number in numbers:
            self.sql.stdin.write(f"select 1 / {number % 10}\n  /* number={number} */;\n".encode())
        self.sql.stdin.flush()

    def psql(self, *options):
        return [self.bin / "psql", "-h", self.directory, "-U", "owner", "-q", *options, "postgres"]

    def rotate(self):
        command = self.psql("-c", "select pg_rotate_logfile()")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self.options)

    def finish(self):
        """Waits until every statement is executed, and ends it in order."""
        self.sql.stdin.close()
        self.sql.wait()
        # SIGTERM would wait for clients.
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def listens(family, address):
    with socket.socket(family) as tried:
        return tried.connect_ex(address) == 0


class FollowProof(Proof):
    """The server, which follows the logs of both."""

    def __init__(self, directory):
        settings = {
            "MONETA_COLLECT__ENABLED": "true",
            "MONETA_COLLECT__FILES": f'["{directory}/nginx/*.log", "{directory}/postgresql/logs/*"]',
            "MONETA_COLLECT__RECORDS": f"""[{{ files = "{directory}/postgresql/logs/*.log", start = '^\\d{{4}}-' }}]""",
            "MONETA_COLLECT__SYSTEMD_JOURNAL": "false",
            "MONETA_COLLECT__PERFORMANCE_INTERVAL_SECONDS": "0",
            "MONETA_COLLECT__PROCESS_INTERVAL_SECONDS": "0",
        }
        super().__init__(directory, settings)

    def counted(self, rows):
        """Records, different numbers, and the highest one, of rows that have `number`."""
        by_number = f"{rows} | summarize n = count() by number"
        return self.query(f"{by_number} | summarize records = sum(n), numbers = count(), last = max(number)")[0]

    def expect(self, what, rows, numbers):
        """Waits until each of the numbers is there once."""
        self.until(what, lambda: self.counted(rows), [len(numbers), len(numbers), numbers[-1]])


def main():
    with tempfile.TemporaryDirectory(prefix="moneta-followed-") as directory:
        directory = pathlib.Path(directory)
        directory.chmod(0o755)
        look_up(["nginx", "libpcre2-8-0", "postgresql-15", "postgresql-client-15", *Postgresql.LIBRARIES])
        nginx, postgresql = Nginx(directory / "nginx"), Postgresql(directory / "postgresql")
        proof, requests = FollowProof(directory), None
        try:
            nginx.start()
            requests, executed = Steady(nginx.ask, PER_SECOND), 0
            # What was never seen under its name is no log that was rotated away.
            seen = "WebAccessLog_CL | summarize dcount(_Source)"
            proof.until("logs of nginx followed", lambda: proof.query(seen), [[2]])
            for _ in range(KILLS):
                postgresql.start()
                statements = Steady(postgresql.execute, PER_SECOND, executed)
                time.sleep(0.7)
                nginx.rotate()
                postgresql.rotate()
                time.sleep(0.7)
                proof.server.kill()
                time.sleep(0.5)
                nginx.rotate()
                executed = statements.stop()
                postgresql.finish()
                proof.server.start()
            asked = requests.stop()
            check(proof, range(asked), range(executed))
            proof.server.stop()
        finally:
            if requests is not None:
                requests.halt.set()
            if proof.server.process.poll() is None:
                proof.server.kill()
    print(f"{asked} requests and {executed} statements through {KILLS} kills: each once", flush=True)


def check(proof, asked, executed):
    """Each request and each statement is there once, in each of the logs that tell of it."""
    web = "WebAccessLog_CL | where {} | project number = toint(extract('{}([0-9]+)', 1, {}))"
    proof.expect("requests", web.format("Status == 200", "/number/", "UriStem"), asked)
    proof.expect("requests that failed", web.format("Status == 404", "/missing/", "UriStem"), asked[::10])
    proof.expect("errors about them", web.format("Level == 'error'", "/missing/", "Message"), asked[::10])
    log = "{} | where {} | project number = toint(extract('number=([0-9]+)', 1, {}))"
    statement = "Message contains_cs 'statement: select 1 / '"
    proof.expect("statements", log.format("PostgreSqlLog_CL", statement, "Message"), executed)
    failed = "SqlState == '22012' and TimeGenerated between (SessionStart .. 1h)"
    proof.expect("statements that failed", log.format("PostgreSqlLog_CL", failed, "Statement"), executed[::10])
    proof.expect("statements as text", log.format("TextLog_CL", statement, "Message"), executed)


if __name__ == "__main__":
    main()
