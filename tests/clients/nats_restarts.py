"""Streams of NATS through kills of the server and of NATS: nothing is lost, nothing doubled.

The publisher is nats-py, the server Debian's `nats-server`. Every record has a number of its own; at the end each must
be there once. MONETA_BIN names the program.
"""

import asyncio
import json
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time

import nats
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig

from nats_server import Key, NatsServer, certificate, operator
from server import WAIT_SECONDS, Proof

KILLS = int(os.environ.get("MONETA_NATS_KILLS", "5"))


class Publisher:
    """Calls of nats-py to one server, each on a connection of its own."""

    def __init__(self, url, **login):
        self.url, self.login = url, login

    def run(self, act):
        async def called():
            client = await nats.connect(self.url, max_reconnect_attempts=2, **self.login)
            try:
                return await act(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(called())

    def create(self, stream, **settings):
        subjects = settings.pop("subjects", [f"{stream}.>"])
        self.run(lambda js: js.add_stream(StreamConfig(name=stream, subjects=subjects, **settings)))

    def send(self, subject, numbers, headers=None):
        async def act(js):
            for number in numbers:
                await js.publish(subject, json.dumps({"number": number}).encode(), headers=headers)

        self.run(act)

    def kept(self, stream):
        """Messages that the stream keeps."""
        return self.run(lambda js: js.stream_info(stream)).state.messages


class Sender:
    """Publishes numbered records in the background until told to stop; each until it is acknowledged."""

    def __init__(self, publisher, stream):
        self.publisher, self.stream = publisher, stream
        self.sent, self.halt = 0, threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()

    async def run(self):
        async def silent(_error):
            pass

        more = {"max_reconnect_attempts": -1, "reconnect_time_wait": 0.2, "error_cb": silent}
        client = await nats.connect(self.publisher.url, **more)
        js = client.jetstream(timeout=5)
        while not self.halt.is_set():
            batch = [self.publish(js, number) for number in range(self.sent, self.sent + 50)]
            await asyncio.gather(*batch)
            self.sent += len(batch)
            await asyncio.sleep(0.02)
        await client.close()

    async def publish(self, js, number):
        record = json.dumps({"number": number, "text": "x" * 200}).encode()
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                # By its id the stream knows a record whose acknowledgement got lost.
                headers = {"Nats-Msg-Id": str(number)}
                await js.publish(f"{self.stream}.{number % 7}", record, headers=headers)
                return
            except Exception as error:
                assert time.monotonic() < deadline, error
                await asyncio.sleep(0.2)

    def stop(self):
        self.halt.set()
        self.thread.join()
        return self.sent


def source(name, server, stream, **more):
    """A section `[[nats.sources]]`, as a table of the value of a variable."""
    keys = {"name": name, "servers": [f"localhost:{server.port}"], "stream": stream} | more
    keys = {"tls": False} | keys if "authority" not in keys else keys
    words = {True: "true", False: "false"}
    text = {key: words[value] if isinstance(value, bool) else repr(value) for key, value in keys.items()}
    return "{ " + ", ".join(f"{key} = {value}" for key, value in text.items()) + " }"


class NatsProof(Proof):
    """The server, those of NATS, and what is asked of them."""

    def __init__(self, directory):
        self.directory = directory
        self.main = NatsServer(directory / "main", domain="hub").start()
        self.publisher = Publisher(self.main.url())
        for stream in ("door", "part", "other", "theirs"):
            self.publisher.create(stream)
        self.publisher.create("queue", retention=RetentionPolicy.WORK_QUEUE)
        self.publisher.create("wanted", retention=RetentionPolicy.INTEREST)
        foreign = ConsumerConfig(durable_name="moneta", ack_policy="explicit")
        self.publisher.run(lambda js: js.add_consumer("theirs", foreign))
        sources = [source(name, self.main, name) for name in ("door", "later", "other", "queue", "wanted", "theirs")]
        more = {"consumer": "domain", "domain": "hub", "table": "domain_CL", "subject": "part.a.*"}
        sources.append(source("part", self.main, "part", **more))
        self.guarded = {}
        sources += self.sign_in()
        super().__init__(directory, {"MONETA_NATS__SOURCES": "[" + ", ".join(sources) + "]"})

    def servers(self):
        return [self.main, *(server for server, _ in self.guarded.values())]

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return str(path)

    def guard(self, name, config, login):
        """A server that asks who is there, with a stream; returns it."""
        server = NatsServer(self.directory / name, config).start()
        publisher = Publisher(server.url(), **login)
        publisher.create(name)
        self.guarded[name] = (server, publisher)
        return server

    def sign_in(self):
        """Sources that sign in, each another way."""
        import ssl

        pem, key = certificate(self.directory)
        trusting = ssl.create_default_context(cafile=str(pem))
        tls = f'tls {{ cert_file: "{pem}", key_file: "{key}" }}\n'
        word, wrong = self.file("word", "secret\n"), self.file("wrong", "guess\n")
        login = {"user": "edge", "password": "secret"}
        users = 'authorization { users: [ { user: edge, password: secret } ] }'
        server = self.guard("secured", tls + users, login | {"tls": trusting})
        by_password = {"authority": str(pem), "user": "edge", "password_file": word}
        yield source("secured", server, "secured", **by_password)
        yield source("guess", server, "secured", **by_password | {"password_file": wrong, "consumer": "guess"})
        yield source("stranger", server, "secured", tls=True, consumer="stranger", user="edge", password_file=word)
        plain = {"user": "edge", "password_file": word, "allow_plaintext": True, "consumer": "plain"}
        yield source("plain", server, "secured", **plain)
        server = self.guard("token", 'authorization { token: "secret" }', {"token": "secret"})
        yield source("token", server, "token", token_file=word, allow_plaintext=True)
        key = Key("U")
        users = f"authorization {{ users: [ {{ nkey: {key.public} }}, {{ user: edge, password: secret }} ] }}"
        server = self.guard("keyed", users, login)
        yield source("keyed", server, "keyed", seed_file=self.file("seed", key.seed))
        config, credentials = operator()
        path = self.file("user.creds", credentials)
        server = self.guard("vouched", config, {"user_credentials": path})
        yield source("vouched", server, "vouched", credentials_file=path)

    def ended(self):
        for server in self.servers():
            server.kill()


def killed_on_both_sides(proof):
    """The server and NATS are killed while records flow."""
    sender = Sender(proof.publisher, "door")
    for kill in range(KILLS):
        time.sleep(1 + kill % 3)
        proof.restart()
        if kill % 2 == 0:
            proof.main.kill()
            time.sleep(1)
            proof.main.start()
    time.sleep(1)
    sent = sender.stop()
    proof.until("records stored, and different ones", lambda: proof.numbers("door_CL"), [sent, sent, sent - 1])
    return sent


def signed_in(proof):
    """Whoever is known is let in, and who is not hears why."""
    for name, (_, publisher) in proof.guarded.items():
        publisher.send(f"{name}.a", range(20))
        proof.until(f"records of who signs in: {name}", lambda: proof.numbers(f"{name}_CL"), [20, 20, 19])
    for name, part in [
        ("guess", "Authorization Violation"),
        ("stranger", "certificate"),
        ("plain", "it wants TLS"),
        ("theirs", "was not made for Moneta"),
    ]:
        proof.until(f"state of {name}", lambda: proof.collector(f"nats {name}")["state"], "waiting")
        reason = proof.collector(f"nats {name}")["reason"]
        assert part in reason and "secret" not in reason, reason


def stream_that_comes_later(proof):
    """A stream that is not there yet is waited for, and read from its first record, with subject and headers."""
    collector = proof.collector("nats later")
    assert collector["state"] == "waiting" and "stream not found" in collector["reason"], collector
    proof.publisher.create("later")
    proof.publisher.send("later.a", range(10), headers={"Door": "7"})
    proof.publisher.run(lambda js: js.publish("later.a", b"{ no record"))
    proof.publisher.send("later.b", range(10, 20))
    proof.until("records of a stream that came later", lambda: proof.numbers("later_CL"), [20, 20, 19])
    rows = "later_CL | where toint(number) == 3 | project tostring(_Extra.NatsSubject), tostring(_Extra.NatsHeaders.Door)"
    assert proof.query(rows) == [["later.a", "7"]], proof.query(rows)
    broken = "Quarantine | where _Source == 'nats/later/later' | summarize count()"
    proof.until("records of it in quarantine", lambda: proof.query(broken), [[1]])


def kept_until_read(proof):
    """Streams that keep messages until they are acknowledged lose none over a kill, and keep none that is stored."""
    for stream in ("queue", "wanted"):
        proof.publisher.send(f"{stream}.a", range(50))
        proof.until(f"records of {stream}", lambda: proof.numbers(f"{stream}_CL"), [50, 50, 49])
    proof.server.kill()
    for stream in ("queue", "wanted"):
        proof.publisher.send(f"{stream}.a", range(50, 70))
    # Somebody took messages and never said so, as a server that died half-way does.
    async def take(js):
        for stream in ("queue", "wanted"):
            taken = await js.pull_subscribe_bind("moneta", stream)
            assert await taken.fetch(5, timeout=10)

    proof.publisher.run(take)
    proof.server.start()
    for stream in ("queue", "wanted"):
        proof.until(f"records of {stream} after a kill", lambda: proof.numbers(f"{stream}_CL"), [70, 70, 69])
        proof.until(f"messages kept in {stream}", lambda: proof.publisher.kept(stream), 0)


def only_a_part(proof):
    """Of a stream in a domain only the subject asked for is read."""
    proof.publisher.send("part.b.x", range(100, 110))
    proof.publisher.send("part.a.x", range(5))
    proof.publisher.send("part.b.x", range(200, 210))
    proof.publisher.send("part.a.y", range(5, 9))
    proof.until("records of the subject", lambda: proof.numbers("domain_CL"), [9, 9, 8])


def removed_before_read(proof):
    """Records that were removed while the server was away are counted as lost, and the rest is read."""
    proof.publisher.send("other.a", range(5))
    proof.until("records before the gap", lambda: proof.numbers("other_CL"), [5, 5, 4])
    proof.server.kill()
    proof.publisher.send("other.a", range(5, 12))
    # Nine are stored under the numbers from 1: those below 10 go.
    proof.publisher.run(lambda js: js.purge_stream("other", seq=10))
    proof.server.start()
    proof.until("records around the gap", lambda: proof.numbers("other_CL"), [8, 8, 11])
    proof.until(
        "records said to be lost",
        lambda: [row["num_dropped"] for row in proof.get("v1/sources") if row["source"] == "nats/other/other"],
        [4],
    )


def made_anew(proof):
    """A stream that was removed and made anew is read from its first record, also when it has more than the old one."""
    proof.server.kill()
    proof.publisher.run(lambda js: js.delete_stream("other"))
    proof.publisher.create("other")
    proof.publisher.send("other.a", range(12, 40))
    proof.server.start()
    proof.until("records of the stream made anew too", lambda: proof.numbers("other_CL"), [36, 36, 39])


def away(proof):
    """A server that is away is said to be; the collector goes on by itself once it is back."""
    proof.main.kill()
    proof.until("state while NATS is away", lambda: proof.collector("nats door")["state"], "waiting")
    assert f"localhost:{proof.main.port}" in proof.collector("nats door")["reason"], proof.collector("nats door")
    proof.main.start()
    proof.until("state once it is back", lambda: proof.collector("nats door")["state"], "running")


def main():
    if shutil.which("nats-server") is None:
        print("nats-server is not installed: not run", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="moneta-nats-") as directory:
        proof = NatsProof(pathlib.Path(directory))
        try:
            sent = killed_on_both_sides(proof)
            signed_in(proof)
            stream_that_comes_later(proof)
            kept_until_read(proof)
            only_a_part(proof)
            removed_before_read(proof)
            made_anew(proof)
            away(proof)
            proof.server.stop()
        finally:
            if proof.server.process.poll() is None:
                proof.server.kill()
            proof.ended()
    print(f"{sent} records through {KILLS} kills", flush=True)


if __name__ == "__main__":
    main()
