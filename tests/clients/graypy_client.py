"""graypy: Python's logging as GELF, over UDP in chunks, over TCP, and over HTTP with a credential."""

import logging
import os
import urllib.parse

import graypy
import requests
from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main

PORT = int(os.environ["MONETA_GELF_PORT"])
COUNT = 20
LONG = "x" * 5_000
"""Longer than one chunk, in whatever way it is packed."""


def record(way, number):
    noise = os.urandom(2_000).hex()
    made = logging.LogRecord("clients", logging.ERROR, __file__, 7, f"{way} {number} {LONG}", None, None)
    made.run, made.noise = RUN, noise
    return made


def over_http(credential):
    place = urllib.parse.urlsplit(URL)
    handler = graypy.GELFHTTPHandler(place.hostname, place.port)
    handler.headers["Authorization"] = f"Bearer {credential}"
    return handler


def send():
    ways = {
        "udp": graypy.GELFUDPHandler("127.0.0.1", PORT),
        "tcp": graypy.GELFTCPHandler("127.0.0.1", PORT),
        "http": over_http(CREDENTIAL),
    }
    for way, handler in ways.items():
        for number in range(COUNT):
            handler.emit(record(way, number))
        handler.close()
    # Only HTTP is answered: the others have arrived when they can be read.
    read()


def read():
    text = (
        f"Gelf_CL | where _Extra._run == '{RUN}' and strlen(Message) > 5000 and Level == 3"
        " | summarize n = dcount(Message) by Way = tostring(split(Message, ' ')[0]) | sort by Way asc"
    )
    expect_rows(text, [{"Way": way, "n": COUNT} for way in ("http", "tcp", "udp")])


def post(body, credential):
    return requests.post(f"{URL}/gelf", data=body, headers={"Authorization": f"Bearer {credential}"}, timeout=30)


def bad_input():
    # The handlers look at no answer.
    assert post(b"[1]", CREDENTIAL).status_code == 400


def bad_credential():
    before = f"Gelf_CL | where _Extra._run == '{RUN}' | count"
    over_http(WRONG).emit(record("wrong", 0))
    assert post(b"{}", WRONG).status_code == 401
    expect_rows(before, [{"Count": 3 * COUNT}])


main(globals())
