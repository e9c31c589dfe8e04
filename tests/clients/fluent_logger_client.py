"""fluent-logger: events over the forward protocol, with whole seconds and with nanoseconds."""

import os
import socket

from fluent import sender
from proof import RUN, expect_rows, main

PORT = int(os.environ["MONETA_FLUENT_PORT"])
COUNT = 50


def send():
    for nanoseconds in (False, True):
        logger = sender.FluentSender("shop", port=PORT, nanosecond_precision=nanoseconds)
        for number in range(COUNT):
            event = {"run": RUN, "number": number, "nested": {"exact": nanoseconds}}
            assert logger.emit_with_time("door", 1_700_000_000 + number, event), logger.last_error
        logger.close()
    # Nothing is answered: what was sent has arrived when it can be read.
    read()


def read():
    text = (
        f"Fluent_CL | where run == '{RUN}' and Tag == 'shop.door'"
        " | where TimeGenerated == unixtime_seconds_todatetime(1700000000 + number)"
        " | summarize n = dcount(number) by Exact = tobool(nested.exact) | sort by Exact asc"
    )
    expect_rows(text, [{"Exact": False, "n": COUNT}, {"Exact": True, "n": COUNT}])


def bad_input():
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as odd:
        odd.sendall(b"\xc1 is no MessagePack")
        assert odd.recv(1) == b"", "the connection of who does not speak the protocol is closed"
    expect_rows("Quarantine | where ReasonCode == 'bad_message' | summarize n = count() > 0", [{"n": True}])


main(globals(), without={"bad_credential": "the client knows no credentials"})
