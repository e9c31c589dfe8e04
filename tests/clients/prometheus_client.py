"""Prometheus and promtool: a Prometheus that scrapes itself sends by remote write, and promtool asks in PromQL."""

import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import requests
from debian_package import library
from proof import CREDENTIAL, RUN, URL, WAIT_SECONDS, WRONG, main, query, refused
from server import free_port

SAMPLES = 5
"""Scrapes, a second apart, before Prometheus ends."""
SENT = pathlib.Path(tempfile.gettempdir()) / f"moneta-prometheus-{RUN}.json"
"""The times of the samples that Prometheus itself has, kept from the one step to the other."""

CONFIGURATION = """
global: {{scrape_interval: 1s, external_labels: {{run: "{run}"}}}}
scrape_configs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
remote_write: [{{url: "{url}/api/v1/write", authorization: {{credentials: "{credential}"}}}}]
"""


class Prometheus:
    """One of its own, which scrapes itself."""

    def __init__(self, credential=CREDENTIAL):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="moneta-prometheus-"))
        self.port, self.credential = free_port(), credential

    def __enter__(self):
        text = CONFIGURATION.format(run=RUN, port=self.port, url=URL, credential=self.credential)
        (self.directory / "prometheus.yml").write_text(text)
        command = [
            library("prometheus", "/usr/bin/prometheus"),
            f"--config.file={self.directory}/prometheus.yml",
            f"--storage.tsdb.path={self.directory}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        return self

    def samples(self):
        """What it has itself of `up`: times in milliseconds and values."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}/api/v1/query?query=up[1h]", timeout=5).json()
        except requests.ConnectionError:
            return []
        series = answer["data"]["result"]
        return [(round(at * 1000), float(value)) for at, value in series[0]["values"]] if series else []

    def said(self):
        return (self.directory / "log").read_text()

    def wait(self, what, is_done):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_done():
            assert self.process.poll() is None and time.monotonic() < deadline, f"{what}: {self.said()[-2000:]}"
            time.sleep(0.2)

    def __exit__(self, *_):
        # In order: what it has not sent is sent first.
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=WAIT_SECONDS)
        self.log.close()
        shutil.rmtree(self.directory)


COMMANDS = ("instant", "range", "series", "labels")


def promtool(*arguments, credential=CREDENTIAL):
    """What promtool says of this server; its errors are raised."""
    host = urllib.parse.urlsplit(URL).netloc
    address = f"http://moneta:{credential}@{host}"
    # The address stands before what is asked for, where anything is.
    options = [argument for argument in arguments if argument.startswith("-") or argument in COMMANDS or argument == "json"]
    command = [library("prometheus", "/usr/bin/promtool"), "query", *options, address, *arguments[len(options):]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def stored():
    rows = query(
        f"InsightsMetrics | where Name == 'up' and Tags has '{RUN}'"
        " | project at = tolong((TimeGenerated - datetime(1970-01-01)) / 1ms), Val"
    )
    return {(row["at"], row["Val"]) for row in rows}


def send():
    """What Prometheus scrapes before its remote write has begun it never sends; from the first that comes on, all must."""
    with Prometheus() as prometheus:
        prometheus.wait("the first sample", stored)
        first = min(at for at, _ in stored())
        samples = lambda: [sample for sample in prometheus.samples() if sample[0] >= first]
        prometheus.wait("scrapes", lambda: len(samples()) >= SAMPLES)
        sent = samples()
        prometheus.wait("remote write", lambda: set(sent) <= stored())
    SENT.write_text(json.dumps(sent))


def read():
    sent = {(at, value) for at, value in json.loads(SENT.read_text())}
    assert sent <= stored(), sent - stored()
    end = max(at for at, _ in sent) / 1000
    selector = f'up{{run="{RUN}", job="self"}}'
    instant = lambda text: json.loads(promtool("instant", "-o", "json", f"--time={end}", text))
    (one,) = instant(f"sum by (job) (last_over_time({selector}[1m])) * 2")
    assert (one["metric"], one["value"][1]) == ({"job": "self"}, "2"), one
    (one,) = instant(f"count_over_time({selector}[1h])")
    assert int(one["value"][1]) == len({at for at, _ in sent}), (one, sent)
    series = f'prometheus_http_requests_total{{run="{RUN}", handler="/api/v1/query"}}'
    (one,) = instant(f"topk(1, sum by (handler) (increase({series}[1h])))")
    assert one["metric"] == {"handler": "/api/v1/query"} and float(one["value"][1]) > 0, one
    steps = json.loads(promtool("range", "-o", "json", f"--start={end - 1}", f"--end={end}", "--step=1s", selector))
    assert [value for _, value in steps[0]["values"]] == ["1"] * 2, steps
    assert f'run="{RUN}"' in promtool("series", f"--match={selector}")
    assert "self" in promtool("labels", "job").split()


def bad_input():
    refused(lambda: promtool("instant", "histogram_quantile(0.9, up)"), "bad_data", "histogram_quantile()")
    refused(lambda: promtool("instant", "up{"), "bad_data", "parse error")
    refused(lambda: promtool("instant", "up / up"), "bad_data", "two vectors")


def bad_credential():
    refused(lambda: promtool("instant", "up", credential=WRONG), "unauthorized")
    with Prometheus(credential=WRONG) as prometheus:
        prometheus.wait("its log", lambda: "401" in prometheus.said())


main(globals())
