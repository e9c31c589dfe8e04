"""Runs the clients of this directory against a fresh server, kills and restarts it in between, and prints a table.

Every client sends before the kill; after the restart what it sent must be there, and wrong input and wrong credentials
must be refused as the client expects.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

import debian_package
import kafka_broker
from server import Server

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "clients.md"
STEP_SECONDS = 120


@dataclasses.dataclass
class Client:
    """A client: its file here, the package it is of, and what it proves."""

    file: str
    package: str
    proves: str
    requirements: str = ""
    """What it needs when that is not among the others' and takes long to install: run by name and for the document."""
    daemon: str = ""
    """The program of Debian's that it runs; its package is then one of Debian's too."""
    unpacked: bool = False
    """Whether its package is one of Debian's, whose programs run unpacked without being installed."""

    @property
    def is_node(self):
        return self.file.endswith(".mjs")

    def version(self):
        if self.package == "":
            return ""
        if self.daemon or self.unpacked:
            return debian_package.version(self.package)
        if self.is_node:
            package = pathlib.Path(os.environ["MONETA_NODE_MODULES"]) / "node_modules" / self.package / "package.json"
            return json.loads(package.read_text())["version"]
        if self.requirements:
            code = f"import importlib.metadata; print(importlib.metadata.version({self.package!r}))"
            return subprocess.check_output([self.python(), "-c", code], text=True).strip()
        return importlib.metadata.version(self.package)

    def python(self):
        """The interpreter with its packages."""
        if not self.requirements:
            return sys.executable
        make = [str(HERE.parent / "interop" / "environment.sh"), str(HERE / self.requirements)]
        return subprocess.check_output(make, text=True).strip()


CLIENTS = [
    Client("azure_monitor_ingestion.py", "azure-monitor-ingestion", "Azure Monitor logs ingestion"),
    Client("azure_monitor_query.py", "azure-monitor-query", "Azure Monitor query and batch"),
    Client("http_data_collector.py", "", "Azure Monitor HTTP Data Collector, as documented"),
    Client("azure_monitor_ingestion.mjs", "@azure/monitor-ingestion", "Azure Monitor logs ingestion"),
    Client("azure_kusto_data.py", "azure-kusto-data", "Kusto queries, commands, sign-in by token and by id and secret"),
    Client("azure_kusto_data.mjs", "azure-kusto-data", "Kusto queries and commands from Node"),
    Client("azure_kusto_ingest.py", "azure-kusto-ingest", "Kusto tables, mappings and streaming ingest"),
    Client("azure_kusto_bare.py", "azure-kusto-ingest", "Kusto by a bare address, where this machine needs no credential"),
    Client("msticpy_client.py", "msticpy", "Kusto from notebooks", requirements="requirements-msticpy.txt"),
    Client("splunk_handler_client.py", "splunk-handler", "Splunk HTTP Event Collector with acknowledgements"),
    Client(
        "syslog_ng_client.py",
        "syslog-ng-mod-http",
        "Splunk HTTP Event Collector from a syslog daemon",
        unpacked=True,
    ),
    Client("logging_loki_client.py", "python-logging-loki", "Loki push"),
    Client("elasticsearch_client.py", "elasticsearch", "Elasticsearch bulk and documents"),
    Client("elasticsearch_client.mjs", "@elastic/elasticsearch", "Elasticsearch bulk from Node"),
    Client("rsyslog_client.py", "rsyslog-elasticsearch", "Elasticsearch bulk from a syslog daemon", daemon="rsyslogd"),
    Client("opentelemetry_client.py", "opentelemetry-exporter-otlp-proto-http", "OTLP over HTTP: logs, metrics, traces"),
    Client(
        "opentelemetry_grpc_client.py", "opentelemetry-exporter-otlp-proto-grpc", "OTLP over gRPC, with and without TLS"
    ),
    Client("graypy_client.py", "graypy", "GELF over UDP in chunks, TCP, and as packed for HTTP"),
    Client("fluent_logger_client.py", "fluent-logger", "Fluent forward"),
    Client("confluent_kafka_client.py", "confluent-kafka", "Kafka: topics as a source, with keys, headers, all codecs"),
    Client(
        "adbc_flightsql_client.py", "adbc-driver-flightsql", "Arrow Flight SQL: queries of any size, with and without TLS"
    ),
    Client("pino_loki.mjs", "pino-loki", "Loki push from Node"),
    Client(
        "prometheus_client.py",
        "prometheus",
        "Prometheus remote write, and promtool's queries in PromQL",
        unpacked=True,
    ),
    Client(
        "alertmanager_client.py",
        "prometheus-alertmanager",
        "Alertmanager's webhook, and alerts of amtool",
        unpacked=True,
    ),
    Client("pagerduty_client.py", "pagerduty", "PagerDuty events in"),
]


def step(client, server, credential, when):
    """Runs one half of a client's proof; returns what went wrong, or an empty text."""
    environment = os.environ | {
        "MONETA_URL": f"http://127.0.0.1:{server.port}",
        "MONETA_SECURE_URL": f"https://localhost:{server.port}",
        "MONETA_GELF_PORT": str(server.gelf_port),
        "MONETA_FLUENT_PORT": str(server.fluent_port),
        "MONETA_CREDENTIAL": credential["credential"],
        "MONETA_SHARED_KEY": credential["shared_key"],
        "MONETA_RUN": credential["run"],
        "REQUESTS_CA_BUNDLE": server.ready["tls_authority"],
        "SSL_CERT_FILE": server.ready["tls_authority"],
        "NODE_EXTRA_CA_CERTS": server.ready["tls_authority"],
        "NO_PROXY": "*",
    }
    file, directory = HERE / client.file, HERE
    if client.is_node:
        # Modules are looked for beside the file that imports them.
        directory = pathlib.Path(environment["MONETA_NODE_MODULES"])
        for source in HERE.glob("*.mjs"):
            shutil.copy(source, directory)
        file = directory / client.file
    command = ["node" if client.is_node else client.python(), str(file), when]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=STEP_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        return f"not done after {STEP_SECONDS} s: {late.stderr or ''}"
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}".strip() or f"exit code {done.returncode}"


def run(program, clients):
    """Results by client: an empty text, or what went wrong."""
    wrong = {}
    with tempfile.TemporaryDirectory(prefix="moneta-clients-") as directory:
        broker = kafka_broker.Broker()
        settings = {"MONETA_KAFKA__SOURCES": broker.source(["door", "bad"])}
        server = Server(program, pathlib.Path(directory), settings)
        server.start()
        os.environ["MONETA_KAFKA_BROKERS"] = broker.addresses
        try:
            credential = server.credential("clients") | {"run": uuid.uuid4().hex}
            for client in clients:
                wrong[client.file] = step(client, server, credential, "before")
            server.kill()
            server.start()
            for client in clients:
                wrong[client.file] = wrong[client.file] or step(client, server, credential, "after")
            server.stop()
        finally:
            if server.process.poll() is None:
                server.kill()
            broker.stop()
    return wrong


def table(clients, wrong):
    """The results as lines of a table."""
    head = ["Client", "Version", "Proves", "Result"]
    rows = [[c.package or c.file, c.version(), c.proves, "failed" if wrong[c.file] else "passed"] for c in clients]
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * 4, *rows]]


BEGIN, END = "<!-- begin: results of `make clients` -->", "<!-- end -->"


def write_document(lines):
    """Keeps the table between the marks of the document."""
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END, 1)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


def check_document():
    """Fails when the table of the document is of other clients than those here, or says other things of them."""
    lines = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    written, here = {(row[0], row[2]) for row in cells}, {(c.package or c.file, c.proves) for c in CLIENTS}
    for what, names in [("lacks", here - written), ("has, and no client is so,", written - here)]:
        for name, proves in sorted(names):
            print(f"{DOCUMENT.name} {what} {name}: {proves}", file=sys.stderr)
    if written != here:
        raise SystemExit("the table of clients is out of date: `make clients` makes it")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the table in docs/clients.md")
    parser.add_argument("names", nargs="*", help="only files whose names begin so")
    arguments = parser.parse_args()
    chosen = [c for c in CLIENTS if not arguments.names or any(c.file.startswith(name) for name in arguments.names)]
    if not arguments.names and not arguments.write:
        for client in [client for client in chosen if client.requirements]:
            print(f"{client.package}: not run, `make clients` runs it", file=sys.stderr)
        chosen = [client for client in chosen if not client.requirements]
    if "MONETA_NODE_MODULES" not in os.environ:
        for client in [client for client in chosen if client.is_node]:
            print(f"{client.package}: not run, Node is missing", file=sys.stderr)
        chosen = [client for client in chosen if not client.is_node]
    if not shutil.which("apt-get"):
        for client in [client for client in chosen if client.unpacked]:
            print(f"{client.package}: not run, this is no Debian", file=sys.stderr)
        chosen = [client for client in chosen if not client.unpacked]
    for client in [client for client in chosen if client.daemon and not shutil.which(client.daemon)]:
        print(f"{client.package}: not run, {client.daemon} is missing", file=sys.stderr)
        chosen.remove(client)
    if arguments.write and len(chosen) < len(CLIENTS):
        raise SystemExit("--write needs every client: give no names, and install Node")
    started = time.monotonic()
    wrong = run(os.environ["MONETA_BIN"], chosen)
    lines = table(chosen, wrong)
    print("\n".join(lines))
    for client in chosen:
        if wrong[client.file]:
            print(f"\n{client.file}: {wrong[client.file]}", file=sys.stderr)
    print(f"{len(chosen)} clients in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if any(wrong.values()):
        raise SystemExit(1)
    if arguments.write:
        write_document(lines)
    elif not arguments.names:
        check_document()


main()
