"""Alertmanager and amtool: Alertmanager calls the webhook, amtool adds alerts as to an Alertmanager."""

import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import requests
from debian_package import library
from proof import CREDENTIAL, RUN, URL, WAIT_SECONDS, WRONG, expect_rows, main, query, refused
from server import free_port

PACKAGE = "prometheus-alertmanager"

CONFIGURATION = """
route: {{receiver: moneta, group_wait: 0s, group_interval: 1s, group_by: [alertname]}}
receivers:
  - name: moneta
    webhook_configs:
      - url: "{url}/alertmanager/webhook"
        send_resolved: true
        http_config: {{authorization: {{credentials: "{credential}"}}}}
"""


class Alertmanager:
    """One of its own, with one receiver."""

    def __init__(self, credential=CREDENTIAL):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moneta-alertmanager-"))
        self.port, self.credential = free_port(), credential

    def __enter__(self):
        text = CONFIGURATION.format(url=URL, credential=self.credential)
        (self.directory / "alertmanager.yml").write_text(text)
        command = [
            library(PACKAGE, "/usr/bin/prometheus-alertmanager"),
            f"--config.file={self.directory}/alertmanager.yml",
            f"--storage.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.wait(lambda: self.answers())
        return self

    def answers(self):
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def alert(self, name, **more):
        alert = {"labels": {"alertname": name, "run": RUN, "severity": "critical", "instance": "db"}} | more
        answer = requests.post(f"http://127.0.0.1:{self.port}/api/v2/alerts", json=[alert], timeout=10)
        assert answer.ok, answer.text

    def said(self):
        return (self.directory / "log").read_text()

    def wait(self, is_done):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_done():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()[-2000:]
            time.sleep(0.2)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=WAIT_SECONDS)
        self.log.close()
        shutil.rmtree(self.directory)


def amtool(*arguments, credential=CREDENTIAL):
    """Runs amtool against this server; its errors are raised."""
    host = urllib.parse.urlsplit(URL).netloc
    command = [library(PACKAGE, "/usr/bin/amtool"), f"--alertmanager.url=http://moneta:{credential}@{host}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def named(name):
    return f"Alert | where AlertName == '{name}' and tostring(pack_all()) has '{RUN}'"


def send():
    with Alertmanager() as alertmanager:
        alertmanager.alert("WebhookDown")
        expect_rows(f"{named('WebhookDown')} | distinct AlertState", [{"AlertState": "firing"}])
        alertmanager.alert("WebhookDown", endsAt="2026-01-01T00:00:00Z", startsAt="2025-12-31T00:00:00Z")
        alertmanager.wait(lambda: "resolved" in str(query(f"{named('WebhookDown')} | distinct AlertState")))
    amtool("alert", "add", "AmtoolDown", f"run={RUN}", "instance=db", "--annotation=summary=it is down")


def read():
    states = [{"AlertState": "firing"}, {"AlertState": "resolved"}]
    expect_rows(f"{named('WebhookDown')} | distinct AlertState | order by AlertState asc", states)
    expect_rows(f"{named('AmtoolDown')} | project AlertState, Computer", [{"AlertState": "firing", "Computer": "db"}])


def bad_input():
    refused(lambda: amtool("alert", "add"), "")
    answer = requests.post(
        f"{URL}/alertmanager/webhook", json={"alerts": 1}, headers={"Authorization": f"Bearer {CREDENTIAL}"}, timeout=10
    )
    assert answer.status_code == 400, answer.text


def bad_credential():
    refused(lambda: amtool("alert", "add", "Never", credential=WRONG), "401")
    with Alertmanager(credential=WRONG) as alertmanager:
        alertmanager.alert("Never")
        alertmanager.wait(lambda: "401" in alertmanager.said())
    expect_rows(f"{named('Never')} | count", [{"Count": 0}])


main(globals())
