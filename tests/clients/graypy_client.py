"""graypy: Python's logging as GELF, over UDP in chunks and over TCP; what its HTTP handler packs is posted for it.

That handler closes its connection without waiting for the answer: a message that the server has not begun to read by
then is lost, which no test can be built on.
"""

import logging
import os

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


def post(body, credential):
    headers = {"Authorization": f"Bearer {credential}", "Content-Encoding": "gzip,deflate"}
    return requests.post(f"{URL}/gelf", data=body, headers=headers, timeout=30)


def send():
    ways = {
        "udp": graypy.GELFUDPHandler("127.0.0.1", PORT),
        "tcp": graypy.GELFTCPHandler("127.0.0.1", PORT),
    }
    for way, handler in ways.items():
        for number in range(COUNT):
            handler.emit(record(way, number))
        handler.close()
    packer = graypy.GELFHTTPHandler("127.0.0.1")
    for number in range(COUNT):
        assert post(packer.makePickle(record("http", number)), CREDENTIAL).status_code == 202
    # Only HTTP is answered: the others have arrived when they can be read.
    read()


def read():
    text = (
        f"Gelf_CL | where _Extra._run == '{RUN}' and strlen(Message) > 5000 and Level == 3"
        " | summarize n = dcount(Message) by Way = tostring(split(Message, ' ')[0]) | sort by Way asc"
    )
    expect_rows(text, [{"Way": way, "n": COUNT} for way in ("http", "tcp", "udp")])


def bad_input():
    # The handlers look at no answer.
    assert post(b"[1]", CREDENTIAL).status_code == 400


def bad_credential():
    assert post(b"{}", WRONG).status_code == 401


main(globals())
