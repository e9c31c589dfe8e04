"""The HTTP Data Collector as its documentation's own sample calls it: requests signed with a shared key."""

import base64
import datetime
import hashlib
import hmac
import json

import requests
from proof import CREDENTIAL_ID, RUN, SHARED_KEY, URL, expect_rows, main


def post(records, key=SHARED_KEY, off=datetime.timedelta()):
    body = json.dumps(records).encode()
    date = (datetime.datetime.now(datetime.timezone.utc) + off).strftime("%a, %d %b %Y %H:%M:%S GMT")
    text = f"POST\n{len(body)}\napplication/json\nx-ms-date:{date}\n/api/logs"
    signature = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"SharedKey {CREDENTIAL_ID}:{signature}",
        "Log-Type": "ClientsCollector",
        "x-ms-date": date,
        "time-generated-field": "When",
    }
    return requests.post(f"{URL}/api/logs?api-version=2016-04-01", data=body, headers=headers, timeout=30)


def send():
    answer = post([{"Run": RUN, "When": "2026-01-02T03:04:05Z", "Step": number} for number in range(5)])
    assert answer.status_code == 200, answer.text


def read():
    text = f"ClientsCollector_CL | where Run_s == '{RUN}' | summarize n = count(), s = sum(Step_d), t = max(TimeGenerated)"
    expect_rows(text, [{"n": 5, "s": 10.0, "t": "2026-01-02T03:04:05.0000000Z"}])


def bad_input():
    assert post("no object").status_code == 400
    assert post([{"Run": RUN}], off=datetime.timedelta(hours=-1)).status_code == 403


def bad_credential():
    assert post([{"Run": RUN}], key=base64.b64encode(bytes(32)).decode()).status_code == 401


main(globals())
