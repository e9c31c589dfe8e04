"""Topics of Kafka through kills of the server and absences of the broker: nothing is lost, nothing doubled.

Producers are those of confluent-kafka and, where it is installed, kcat; the broker is that of `kafka_broker.py`. Every
record has a number of its own; at the end each must be there once. Alerts go to a topic too, from which the consumer of
confluent-kafka reads them. MONETA_BIN names the program.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Producer

from kafka_broker import Broker
from server import WAIT_SECONDS, Proof

TOPIC, PARTITIONS = "door", 3
KILLS = int(os.environ.get("MONETA_KAFKA_KILLS", "5"))

RULE_ID = "0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9d001"
RULE = f"""title: Failed password
id: {RULE_ID}
level: high
logsource: {{ product: linux, service: sshd }}
detection:
  keywords: [ 'Failed password for' ]
  condition: keywords
"""


class Sender:
    """Sends numbered records in the background until told to stop."""

    def __init__(self, broker):
        settings = {"bootstrap.servers": broker.addresses, "acks": "all", "linger.ms": 100, "message.timeout.ms": 120_000}
        self.producer = Producer(settings | {"compression.type": "lz4"})
        self.sent, self.failed, self.halt = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.halt.is_set():
            for _ in range(40):
                record = json.dumps({"number": self.sent, "text": "x" * 200})
                self.producer.produce(TOPIC, value=record, key=str(self.sent % 7), on_delivery=self.note)
                self.sent += 1
            self.producer.poll(0)
            # The broker gives a batch of each partition at a time.
            time.sleep(0.2)

    def note(self, error, _message):
        if error is not None:
            self.failed.append(str(error))

    def stop(self):
        """Ends it once everything is at the broker; returns how much that is."""
        self.halt.set()
        self.thread.join()
        assert self.producer.flush(WAIT_SECONDS) == 0 and not self.failed, self.failed[:3]
        return self.sent


class KafkaProof(Proof):
    """The server, the broker, and what is asked of them."""

    def __init__(self, directory):
        self.broker = Broker()
        self.broker.tell("create", TOPIC, PARTITIONS)
        self.broker.tell("create", "alerts", 2)
        brokers = self.broker.addresses.split(",")
        channel = f'{{ name = "topic", kind = "kafka", brokers = {brokers}, topic = "alerts", tls = "none" }}'
        settings = {
            "MONETA_KAFKA__SOURCES": self.broker.source([TOPIC, "later", "other"]),
            "MONETA_NOTIFY__CHANNELS": f"[{channel}]",
            "MONETA_NOTIFY__ALLOW_PRIVATE_HOSTS": '["127.0.0.1"]',
        }
        super().__init__(directory, settings)

    def run(self, *arguments):
        """Runs a command of the program against the server."""
        environment = os.environ | {"MONETA_DATA_DIR": str(self.server.directory / "data")}
        subprocess.run([os.environ["MONETA_BIN"], *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

    def file(self, name, text):
        path = self.server.directory / name
        path.write_text(text)
        return str(path)


def killed_and_cut_off(proof):
    """The server is killed while it reads, and each broker goes away and returns."""
    sender = Sender(proof.broker)
    for kill in range(KILLS):
        time.sleep(1 + kill % 3)
        proof.restart()
    for broker in (1, 2):
        proof.broker.tell("down", broker)
        time.sleep(2)
        proof.broker.tell("up", broker)
    for broker in (1, 2):
        proof.broker.tell("lead", TOPIC, 0, broker)
        time.sleep(1)
    sent = sender.stop()
    proof.until("records stored, and different ones", lambda: proof.numbers(f"{TOPIC}_CL"), [sent, sent, sent - 1])
    return sent


def all_away(proof):
    """Both brokers away are said to be; the collector goes on by itself once they are back."""
    for broker in (1, 2):
        proof.broker.tell("down", broker)
    proof.until("state while the brokers are away", lambda: proof.collector("kafka test")["state"], "waiting")
    assert "broker" in proof.collector("kafka test")["reason"], proof.collector("kafka test")
    for broker in (1, 2):
        proof.broker.tell("up", broker)
    proof.until("state once they are back", lambda: proof.collector("kafka test")["state"], "running")


def send(broker, topic, numbers, partition=0):
    producer = Producer({"bootstrap.servers": broker.addresses, "acks": "all"})
    for number in numbers:
        producer.produce(topic, value=json.dumps({"number": number}), partition=partition)
    assert producer.flush(WAIT_SECONDS) == 0, "records did not reach the broker"


def topic_that_comes_later(proof):
    """A topic that is not there yet is waited for, and read from its first record."""
    collector = proof.collector("kafka test")
    assert collector["state"] == "waiting" and "topic later" in collector["reason"], collector
    proof.broker.tell("create", "later", 2)
    send(proof.broker, "later", range(10), 0)
    send(proof.broker, "later", range(10, 20), 1)
    proof.until("records of a topic that came later", lambda: proof.numbers("later_CL"), [20, 20, 19])


def with_kcat(proof):
    """kcat's records arrive."""
    if shutil.which("kcat") is None:
        print("kcat is not installed: not run", file=sys.stderr)
        return
    lines = "\n".join(json.dumps({"number": 20 + number}) for number in range(100))
    subprocess.run(["kcat", "-P", "-b", proof.broker.addresses, "-t", "later"], input=lines, text=True, check=True)
    proof.until("records of kcat too", lambda: proof.numbers("later_CL"), [120, 120, 119])


def removed_before_read(proof):
    """Records that the broker removed while the server was away are counted as lost, and the rest is read."""
    proof.broker.tell("create", "other", 1)
    send(proof.broker, "other", range(5))
    proof.until("records before the gap", lambda: proof.numbers("other_CL"), [5, 5, 4])
    proof.server.kill()
    # One batch each, as a producer that waits for nobody sends them.
    for number in range(5, 12):
        send(proof.broker, "other", [number])
    proof.broker.tell("forget", "other", 0, 9)
    proof.server.start()
    proof.until("records around the gap", lambda: proof.numbers("other_CL"), [8, 8, 11])
    proof.until(
        "records said to be lost",
        lambda: [row["num_dropped"] for row in proof.get("v1/sources") if row["source"] == "kafka/test/other/0"],
        [4],
    )


def made_anew(proof):
    """A topic that was removed and made anew is read from its first record."""
    proof.server.kill()
    proof.broker.tell("remove", "other")
    proof.broker.tell("create", "other", 1)
    send(proof.broker, "other", range(12, 14))
    proof.server.start()
    proof.until("records of the topic made anew too", lambda: proof.numbers("other_CL"), [10, 10, 13])


def main():
    with tempfile.TemporaryDirectory(prefix="moneta-kafka-") as directory:
        proof = KafkaProof(pathlib.Path(directory))
        try:
            sent = killed_and_cut_off(proof)
            topic_that_comes_later(proof)
            with_kcat(proof)
            removed_before_read(proof)
            made_anew(proof)
            all_away(proof)
            alerts(proof)
            proof.server.stop()
        finally:
            if proof.server.process.poll() is None:
                proof.server.kill()
            proof.broker.stop()
    print(f"{sent} records through {KILLS} kills", flush=True)


def alerts(proof):
    """Alerts come to a topic once its broker takes them; one that it refuses for good is an alert of its own."""
    proof.run("rules", "add", proof.file("rule.yml", RULE))

    def raise_one(host):
        line = f"2026-01-02T03:04:05.000000+00:00 {host} sshd[1]: Failed password for root from 192.0.2.7 port 2 ssh2\n"
        proof.run("ingest", proof.file(f"{host}.log", line))

    def channel():
        (one,) = [one for one in proof.get("v1/channels")["channels"] if one["name"] == "topic"]
        return one

    raise_one("web01")
    proof.until("hosts of alerts in the topic", lambda: hosts(proof.broker), ["web01"])
    for broker in (1, 2):
        proof.broker.tell("down", broker)
    raise_one("web02")
    proof.until("a try while the brokers are away failed", lambda: channel()["retried"] > 0, True)
    for broker in (1, 2):
        proof.broker.tell("up", broker)
    proof.until("hosts of alerts once they are back", lambda: hosts(proof.broker), ["web01", "web02"])
    proof.broker.tell("fail", "alerts", 29)
    raise_one("web03")
    # That alert goes there too, in vain.
    proof.until("an alert is given up where the topic is forbidden", lambda: channel()["given_up"] > 0, True)
    assert "TOPIC_AUTHORIZATION_FAILED" in channel()["last_error"], channel()
    proof.until(
        "alerts about that",
        lambda: proof.query("SecurityAlert | where RuleId == 'moneta/delivery-failed' | summarize count()"),
        [[1]],
    )


def hosts(broker):
    """The machines that alerts of the rule in the topic are about, in order, as any consumer reads them."""
    alerts = broker.read("alerts", 2)
    assert all(alert["key"] == alert["value"]["rule_id"] for alert in alerts)
    assert all(alert["headers"] == {"alert-id": alert["value"]["id"]} for alert in alerts)
    # Tried again after an answer that got lost, an alert comes twice, with the same id.
    values = [alert["value"] for alert in alerts if RULE_ID in alert["key"]]
    own = {value["id"]: value["events"][0]["computer"] for value in values}
    return sorted(own.values())


if __name__ == "__main__":
    main()
