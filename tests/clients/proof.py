"""What the proof of every client shares: where the server is, how to read back, and the steps.

A client's file defines `send`, `read`, `bad_input` and `bad_credential` and ends with `main(globals())`. The
runner calls it once with `before` (sends), kills the server, starts it again and calls it with `after` (reads back what
was sent, and sees that wrong input and wrong credentials are refused as the client expects).
"""

import os
import sys
import time

import requests

URL = os.environ["MONETA_URL"]
"""Plain HTTP on loopback."""
SECURE_URL = os.environ["MONETA_SECURE_URL"]
"""The same port over TLS."""
CREDENTIAL = os.environ["MONETA_CREDENTIAL"]
CREDENTIAL_ID, SECRET = CREDENTIAL.removeprefix("mnt_").split("_")
SHARED_KEY = os.environ["MONETA_SHARED_KEY"]
RUN = os.environ["MONETA_RUN"]
"""A word no other run has."""
WRONG = f"mnt_{CREDENTIAL_ID}_{'0' * 64}"
"""A credential of the right form with another secret."""

WAIT_SECONDS = 30


def query(text):
    """Rows of a KQL query as dictionaries, asked without any client."""
    answer = requests.post(
        f"{URL}/v1/rest/query",
        json={"db": "Moneta", "csl": text},
        headers={"Authorization": f"Bearer {CREDENTIAL}"},
        timeout=60,
    )
    assert answer.ok, f"{answer.status_code} {answer.text}"
    table = answer.json()["Tables"][0]
    names = [column["ColumnName"] for column in table["Columns"]]
    return [dict(zip(names, row)) for row in table["Rows"]]


def expect_rows(text, expected):
    """Asserts that a query answers with exactly these rows, waiting a little for what is sent in the background."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            rows = query(text)
        except AssertionError as error:
            # A table comes into being with its first event.
            rows = error
        if rows == expected:
            return
        assert time.monotonic() < deadline, f"{text}: {rows}, not {expected}"
        time.sleep(0.2)


def refused(call, *words):
    """Asserts that a call fails, and that its error says these words."""
    try:
        answer = call()
    except Exception as error:  # each client has errors of its own
        text = f"{type(error).__name__}: {error}"
        missing = [word for word in words if word.lower() not in text.lower()]
        assert not missing, f"{missing} not in {text}"
        return
    raise AssertionError(f"was not refused: {answer}")


def main(module, without=None):
    """Runs the steps of this call; those that there cannot be are named in `without`, each with its reason."""
    steps = {"before": ["send"], "after": ["read", "bad_input", "bad_credential"]}[sys.argv[1]]
    for step in (step for step in steps if step not in (without or {})):
        try:
            module[step]()
        except Exception as error:
            print(f"{step}: {type(error).__name__}: {error}"[:2000])
            raise
