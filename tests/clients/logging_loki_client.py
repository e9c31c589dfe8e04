"""python-logging-loki: Python's logging to Loki's push interface."""

import logging

import logging_loki
from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main, refused

PUSH = f"{URL}/loki/api/v1/push"


def handler(credential=CREDENTIAL, url=PUSH):
    return logging_loki.LokiHandler(url=url, tags={"run": RUN}, auth=("moneta", credential), version="1")


def record(text):
    return logging.LogRecord("clients", logging.WARNING, __file__, 1, text, None, None)


def send():
    target = handler()
    for number in range(50):
        target.emitter(record(f"step {number}"), f"step {number}")


def read():
    text = f"Loki_CL | where Labels.run == '{RUN}' and Labels.severity == 'warning' | summarize n = count(), d = dcount(Line)"
    expect_rows(text, [{"n": 50, "d": 50}])


def bad_input():
    class Odd(logging_loki.emitter.LokiEmitterV1):
        def build_payload(self, record, line):
            return {"streams": [{"stream": {}, "values": [[1, line]]}]}

    refused(lambda: Odd(PUSH, {}, ("moneta", CREDENTIAL))(record("x"), "x"), "400")


def bad_credential():
    refused(lambda: handler(WRONG).emitter(record("x"), "x"), "401")


main(globals())
