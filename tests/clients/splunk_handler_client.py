"""splunk-handler: Python's logging to the HTTP Event Collector."""

import json
import logging

import requests
from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main
from splunk_handler import SplunkHandler

HOST, PORT = URL.removeprefix("http://").split(":")
EVENTS = f"{URL}/services/collector/event"


def send():
    handler = SplunkHandler(
        host=HOST, port=PORT, token=CREDENTIAL, index="ClientsSplunk", protocol="http", flush_interval=0.5
    )
    log = logging.getLogger("clients")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    for number in range(50):
        log.info(json.dumps({"Run": RUN, "Step": number}))
    handler.force_flush()
    # With a channel the answer names an acknowledgement, which is given once the event is on disk.
    headers = {"Authorization": f"Splunk {CREDENTIAL}", "X-Splunk-Request-Channel": RUN}
    event = {"event": {"Run": RUN, "Step": 50}, "index": "ClientsSplunk", "time": "1767323045.5"}
    answer = requests.post(EVENTS, json=event, headers=headers, timeout=30).json()
    ids = {"acks": [answer["ackId"]]}
    acks = requests.post(f"{URL}/services/collector/ack", json=ids, headers=headers, timeout=30).json()
    assert acks == {"acks": {str(answer["ackId"]): True}}, acks


def read():
    text = f"ClientsSplunk_CL | where Run == '{RUN}' | summarize n = count(), s = sum(Step)"
    expect_rows(text, [{"n": 51, "s": 1275}])


def bad_input():
    answer = requests.post(EVENTS, data="{", headers={"Authorization": f"Splunk {CREDENTIAL}"}, timeout=30)
    assert answer.status_code == 400 and answer.json()["code"] == 6, answer.text


def bad_credential():
    answer = requests.post(EVENTS, json={"event": 1}, headers={"Authorization": f"Splunk {WRONG}"}, timeout=30)
    assert answer.status_code == 403 and answer.json()["code"] == 4, answer.text


main(globals())
