"""A Kafka broker for tests: the one that librdkafka, the C client, brings for tests of its own.

It speaks the protocol over sockets to any client, and can be made to go away, to come back, and to lose records. It
lives in a process of its own, which this file is when it is run, and which takes a command a line.
"""

import ctypes
import json
import pathlib
import subprocess
import sys
import time


class Broker:
    """A broker in a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.addresses = self.process.stdout.readline().strip()
        assert self.addresses, "the broker did not start"

    def tell(self, *words):
        """Gives a command and waits until it is carried out."""
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        assert answer == "0", f"{words}: {answer}"

    def read(self, topic, partitions):
        """All records of a topic."""
        print("read", topic, partitions, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def source(self, topics, **more):
        """A section `[[kafka.sources]]` that reads topics, as the value of a variable."""
        keys = {"name": "test", "brokers": self.addresses.split(","), "topics": topics, "tls": False} | more
        words = {True: "true", False: "false"}
        text = {key: words[value] if isinstance(value, bool) else repr(value) for key, value in keys.items()}
        return "[{ " + ", ".join(f"{key} = {value}" for key, value in text.items()) + " }]"

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)


def library():
    """librdkafka as the package confluent-kafka brings it."""
    import confluent_kafka

    beside = pathlib.Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    (path,) = beside.glob("librdkafka-*.so*")
    rd = ctypes.CDLL(str(path))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, answer, arguments in [
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_topic_delete", number, [pointer, text]),
        ("rd_kafka_mock_topic_set_error", None, [pointer, text, number]),
        ("rd_kafka_mock_broker_set_down", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_broker_set_up", number, [pointer, ctypes.c_int32]),
        ("rd_kafka_mock_partition_set_leader", number, [pointer, text, ctypes.c_int32, ctypes.c_int32]),
        ("rd_kafka_mock_partition_delete_records", number, [pointer, text, ctypes.c_int32, ctypes.c_int64]),
    ]:
        function = getattr(rd, name)
        function.restype, function.argtypes = answer, arguments
    return rd


def read(addresses, topic, partitions):
    """All records of a topic, as any consumer reads them."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": addresses, "group.id": "reader", "enable.auto.commit": False})
    wanted = [TopicPartition(topic, partition, 0) for partition in range(partitions)]
    count = sum(consumer.get_watermark_offsets(partition, timeout=30)[1] for partition in wanted)
    consumer.assign(wanted)
    found, end = [], time.monotonic() + 30
    while len(found) < count and time.monotonic() < end:
        if (message := consumer.poll(1)) is not None and message.error() is None:
            found.append(
                {
                    "partition": message.partition(),
                    "key": message.key().decode(),
                    "headers": {name: value.decode() for name, value in message.headers() or []},
                    "value": json.loads(message.value()),
                }
            )
    consumer.close()
    return found


def serve():
    """Runs a cluster of two brokers until standard input ends."""
    rd = library()
    producer = 0
    client = rd.rd_kafka_new(producer, None, None, 0)
    cluster = rd.rd_kafka_mock_cluster_new(client, 2)
    commands = {
        "create": lambda topic, partitions: rd.rd_kafka_mock_topic_create(cluster, topic.encode(), int(partitions), 1),
        "remove": lambda topic: rd.rd_kafka_mock_topic_delete(cluster, topic.encode()),
        "fail": lambda topic, code: rd.rd_kafka_mock_topic_set_error(cluster, topic.encode(), int(code)) or 0,
        "down": lambda broker: rd.rd_kafka_mock_broker_set_down(cluster, int(broker)),
        "up": lambda broker: rd.rd_kafka_mock_broker_set_up(cluster, int(broker)),
        "lead": lambda topic, partition, broker: rd.rd_kafka_mock_partition_set_leader(
            cluster, topic.encode(), int(partition), int(broker)
        ),
        "forget": lambda topic, partition, offset: rd.rd_kafka_mock_partition_delete_records(
            cluster, topic.encode(), int(partition), int(offset)
        ),
    }
    addresses = rd.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    commands["read"] = lambda topic, partitions: json.dumps(read(addresses, topic, int(partitions)))
    print(addresses, flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(commands[name](*arguments), flush=True)


if __name__ == "__main__":
    serve()
