"""confluent-kafka: what its producer sends to a broker is read from there."""

import json
import os

from confluent_kafka import Producer
from proof import RUN, expect_rows, main

BROKERS = os.environ["MONETA_KAFKA_BROKERS"]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
COUNT = 200


def produce(topic, records, **settings):
    producer = Producer({"bootstrap.servers": BROKERS, "acks": "all"} | settings)
    for key, value, headers in records:
        producer.produce(topic, value=value, key=key, headers=headers, timestamp=1_700_000_000_000)
    assert producer.flush(30) == 0, "records did not reach the broker"


def send():
    for codec in CODECS:
        values = [json.dumps({"run": RUN, "codec": codec, "number": number}) for number in range(COUNT)]
        produce("door", [(f"key-{codec}", value, {"codec": codec}) for value in values], **{"compression.type": codec})
    envelope = json.dumps({"records": [{"run": RUN, "codec": "envelope", "number": number} for number in range(3)]})
    produce("door", [(None, envelope, None)])
    read()


def read():
    text = (
        f"door_CL | where run == '{RUN}' and TimeGenerated == unixtime_seconds_todatetime(1700000000)"
        " | extend Key = tostring(_Extra.KafkaKey), Header = tostring(_Extra.KafkaHeaders.codec)"
        " | summarize n = count(), numbers = dcount(number) by codec, Key, Header, _Delivery | sort by codec asc"
    )
    rows = [
        {"codec": codec, "Key": f"key-{codec}", "Header": codec, "_Delivery": "exactly-once", "n": COUNT, "numbers": COUNT}
        for codec in CODECS
    ]
    rows.append({"codec": "envelope", "Key": "", "Header": "", "_Delivery": "exactly-once", "n": 3, "numbers": 3})
    expect_rows(text, sorted(rows, key=lambda row: row["codec"]))


def bad_input():
    good = json.dumps({"run": RUN, "is": "good"})
    # One partition keeps them in order.
    produce("bad", [("k", good, None), ("k", "{ no JSON", None), ("k", b"\xff\xfe", None), ("k", good, None)])
    expect_rows(f"bad_CL | where run == '{RUN}' | summarize n = count()", [{"n": 2}])
    text = (
        "Quarantine | where _Source startswith 'kafka/test/bad/'"
        " | project ReasonCode, Offset, Original | sort by Offset asc"
    )
    expect_rows(
        text,
        [
            {"ReasonCode": "invalid_json", "Offset": 1, "Original": "{ no JSON"},
            {"ReasonCode": "invalid_utf8", "Offset": 2, "Original": "//4="},
        ],
    )


main(globals(), without={"bad_credential": "the broker signs in, not the client"})
