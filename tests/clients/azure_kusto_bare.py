"""azure-kusto-data and azure-kusto-ingest with nothing but an address, where programs of this machine need no credential."""

import io
import os
import pathlib
import tempfile

from azure.kusto.data import DataFormat, KustoClient, KustoConnectionStringBuilder
from azure.kusto.ingest import IngestionProperties, KustoStreamingIngestClient

import requests
from proof import RUN, WRONG, main, refused
from server import Server

DIRECTORY = pathlib.Path(tempfile.gettempdir()) / f"moneta-bare-{RUN}"
SETTINGS = {"MONETA_SERVER__LOOPBACK_SCOPES": '["query", "ingest"]', "MONETA_SERVER__LOOPBACK_NAME": "workstation"}
TABLE = "ClientsKustoBare_CL"


def with_server(work):
    """A server of its own: that of the other clients asks for credentials."""
    DIRECTORY.mkdir(exist_ok=True)
    server = Server(os.environ["MONETA_BIN"], DIRECTORY, SETTINGS)
    server.start()
    try:
        work(f"http://127.0.0.1:{server.port}")
    finally:
        server.kill()


def send():
    def work(url):
        client = KustoStreamingIngestClient(KustoConnectionStringBuilder(url))
        rows = io.BytesIO("".join(f'{{"Run": "{RUN}", "Step": {n}}}\n' for n in range(10)).encode())
        properties = IngestionProperties("Moneta", TABLE, data_format=DataFormat.JSON)
        client.ingest_from_stream(rows, properties)

    with_server(work)


def read():
    def work(url):
        client = KustoClient(KustoConnectionStringBuilder(url))
        answer = client.execute("Moneta", f"{TABLE} | where Run == '{RUN}' | count").primary_results[0]
        assert answer[0]["Count"] == 10, answer
        audit = "MonetaAudit | where Action == 'query.run' | distinct ActorName, ActorKind"
        actors = [(row["ActorName"], row["ActorKind"]) for row in client.execute("Moneta", audit).primary_results[0]]
        assert actors == [("workstation", "loopback")], actors

    with_server(work)


def bad_input():
    def work(url):
        client = KustoClient(KustoConnectionStringBuilder(url))
        refused(lambda: client.execute("Moneta", f"{TABLE} | where Stpe == 1"), "Semantic error", "Stpe")
        refused(lambda: client.execute_mgmt("Moneta", ".create function f() { print 1 }"), "admin")

    with_server(work)


def bad_credential():
    def work(url):
        build = KustoConnectionStringBuilder.with_aad_application_token_authentication
        refused(lambda: KustoClient(build(url, WRONG)).execute("Moneta", "print 1"), "401")
        passed_on = {"X-Forwarded-For": "192.0.2.1"}
        answer = requests.get(f"{url}/v1/rest/query?csl=print+1", headers=passed_on, timeout=30)
        assert answer.status_code == 401, answer.text

    with_server(work)


main(globals())
