"""Servers of NATS for tests: Debian's `nats-server`, with whatever signs in and is encrypted, killed and started."""

import atexit
import base64
import binascii
import hashlib
import json
import os
import signal
import socket
import subprocess
import time

from server import START_SECONDS, free_port


class NatsServer:
    """A server with JetStream in a directory of its own; `more` is added to its configuration."""

    def __init__(self, directory, more="", domain=""):
        directory.mkdir(parents=True)
        self.directory, self.port, self.process = directory, free_port(), None
        domain = f", domain: {domain}" if domain else ""
        store = f'jetstream {{ store_dir: "{directory}/store"{domain} }}'
        (directory / "nats.conf").write_text(f"listen: 127.0.0.1:{self.port}\n{store}\n{more}\n")

    def start(self):
        log = open(self.directory / "nats.log", "a")
        self.process = subprocess.Popen(["nats-server", "-c", str(self.directory / "nats.conf")], stdout=log, stderr=log)
        # Also when what begins with it fails.
        atexit.register(self.kill)
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self.process.poll() is None, (self.directory / "nats.log").read_text()
            assert time.monotonic() < deadline, "nats-server did not start"
            time.sleep(0.1)

    def kill(self):
        """Ends it as a crash would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def url(self):
        return f"nats://localhost:{self.port}"


def certificate(directory):
    """A certificate of `localhost` and its key."""
    files = directory / "nats.pem", directory / "nats.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    for extension in ("subjectAltName=DNS:localhost", "basicConstraints=critical,CA:FALSE"):
        command += ["-addext", extension]
    command += ["-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


class Key:
    """A key pair as NATS writes it: `U` of a user, `A` of an account, `O` of an operator."""

    PREFIXES = {"U": 20 << 3, "A": 0, "O": 14 << 3}

    def __init__(self, kind):
        import nkeys

        prefix = self.PREFIXES[kind]
        raw = bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) + os.urandom(32)
        self.seed = base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).rstrip(b"=").decode()
        self.pair = nkeys.from_seed(bytearray(self.seed.encode()))
        self.public = self.pair.public_key.decode()

    def sign(self, subject, name, claims):
        """A token in which this key vouches for a subject."""
        body = {"iat": 1_700_000_000, "iss": self.public, "name": name, "sub": subject, "nats": claims | {"version": 2}}
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).rstrip(b"=").decode()
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        text = ".".join(encode(json.dumps(part).encode()) for part in (head, body))
        return f"{text}.{encode(self.pair.sign(text.encode()))}"


def operator():
    """The configuration of a server whose operator vouches for an account, and credentials of a user of it."""
    owner, account, system, user = Key("O"), Key("A"), Key("A"), Key("U")
    limits = dict.fromkeys(["subs", "data", "payload", "imports", "exports", "conn", "leaf"], -1)
    limits |= dict.fromkeys(["mem_storage", "disk_storage", "streams", "consumer"], -1) | {"wildcards": True}
    owners = owner.sign(owner.public, "operator", {"type": "operator"})
    accounts = owner.sign(account.public, "account", {"type": "account", "limits": limits})
    systems = owner.sign(system.public, "system", {"type": "account", "limits": {name: -1 for name in ("subs", "conn")}})
    users = account.sign(user.public, "user", {"type": "user", "subs": -1, "data": -1, "payload": -1})
    known = f'{account.public}: "{accounts}", {system.public}: "{systems}"'
    config = f'operator: "{owners}"\nsystem_account: {system.public}\nresolver: MEMORY\nresolver_preload: {{ {known} }}\n'
    parts = [("NATS USER JWT", users), ("USER NKEY SEED", user.seed)]
    return config, "\n".join(f"-----BEGIN {name}-----\n{text}\n------END {name}------\n" for name, text in parts)


def encode(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
