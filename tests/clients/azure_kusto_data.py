"""azure-kusto-data: queries, streaming, parameters, commands, functions, views, cancelling and errors; by token, and by
id and secret."""

import threading
import time

from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder
from azure.kusto.data.exceptions import KustoApiError, KustoServiceError

import requests
from proof import CREDENTIAL, CREDENTIAL_ID, RUN, SECRET, SECURE_URL, URL, WRONG, main, refused

MINE = f"ClientsKustoData_CL | where Run == '{RUN}'"


def by_token(credential=CREDENTIAL):
    return KustoClient(KustoConnectionStringBuilder.with_aad_application_token_authentication(URL, credential))


def by_secret(secret=SECRET):
    build = KustoConnectionStringBuilder.with_aad_application_key_authentication
    return KustoClient(build(SECURE_URL, CREDENTIAL_ID, secret, "adfs"))


def send():
    rows = [{"Run": RUN, "Step": number, "Bag": {"n": number}} for number in range(10)]
    answer = requests.post(
        f"{URL}/v1/ingest/ClientsKustoData_CL", json=rows, headers={"Authorization": f"Bearer {CREDENTIAL}"}, timeout=30
    )
    assert answer.json()["accepted"] == 10, answer.text
    make_objects()


def command(text):
    """Rows of a management command."""
    return list(by_token().execute_mgmt("Moneta", text).primary_results[0])


def make_objects():
    """A function and a materialised view, which must be there after the restart."""
    body = f"(least:long = 5) {{ {MINE} | where Step >= least | project Step }}"
    command(f".create-or-alter function with (folder='clients') KustoData{RUN}{body}")
    command(f".alter function KustoData{RUN} docstring 'Steps from one on'")
    view = f"KustoView{RUN} on table ClientsKustoData_CL {{ ClientsKustoData_CL | summarize n = count() by Run }}"
    command(f".create materialized-view {view}")


def read_objects():
    client = by_token()
    steps = [row["Step"] for row in client.execute("Moneta", f"KustoData{RUN}(8)").primary_results[0]]
    assert sorted(steps) == [8, 9], steps
    counted = client.execute("Moneta", f"KustoView{RUN} | where Run == '{RUN}'").primary_results[0]
    assert counted[0]["n"] == 10, counted
    (function,) = command(f".show function KustoData{RUN}")
    assert function["DocString"] == "Steps from one on", function
    (view,) = command(f".show materialized-view KustoView{RUN} cslschema")
    assert view["Schema"] == "Run:string,n:long", view
    entities = command(f".show databases entities | where EntityName endswith '{RUN}' | order by EntityType asc")
    assert [row["EntityType"] for row in entities] == ["Function", "MaterializedView"], entities
    assert entities[0]["CslOutputSchema"] == "Step:long", entities[0]
    (details,) = command(".show table ClientsKustoData_CL details")
    assert details["TotalRowCount"] >= 10, details
    assert any(row["Text"].find(f"KustoData{RUN}") >= 0 for row in command(".show commands")), "no command shown"
    assert command(".show operations") == [] and command(".show ingestion failures | take 0") == []
    (version,) = command(".show version")
    assert version["BuildTime"] is not None, version


def cancel_query():
    """A query that runs is shown, and cancelled by its id."""
    properties = ClientRequestProperties()
    properties.client_request_id = f"clients;{RUN}"
    heavy = "range a from 1 to 100000000 step 1 | extend h = hash_sha256(tostring(a)) | summarize dcount(h)"
    failed = []

    def ask():
        try:
            by_token().execute("Moneta", heavy, properties)
        except KustoServiceError as error:
            failed.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 30
    while not any(row["ClientActivityId"] == properties.client_request_id for row in command(".show running queries")):
        assert time.monotonic() < deadline and asking.is_alive(), failed
        time.sleep(0.1)
    (answer,) = command(f".cancel query '{properties.client_request_id}'")
    assert answer["RunningQueryCanceled"] is True, answer
    asking.join(timeout=60)
    assert failed and "cancel" in failed[0].lower(), failed
    states = {row["ClientActivityId"]: row["State"] for row in command(".show queries")}
    assert states[properties.client_request_id] not in ("InProgress", "Completed"), states


def read():
    read_objects()
    cancel_query()
    for client in (by_token(), by_secret()):
        answer = client.execute("Moneta", MINE + " | project Step, Bag, T = TimeGenerated | order by Step asc")
        rows = list(answer.primary_results[0])
        assert [row["Step"] for row in rows] == list(range(10)) and rows[3]["Bag"] == {"n": 3}, rows
    client = by_token()
    properties = ClientRequestProperties()
    properties.set_parameter("least", "7")
    text = f"declare query_parameters(least: long); {MINE} | where Step >= least | count"
    assert client.execute("Moneta", text, properties).primary_results[0][0]["Count"] == 3
    streamed = client.execute_streaming_query("Moneta", MINE + " | project Step")
    assert sum(1 for _ in next(iter(streamed.iter_primary_results()))) == 10
    tables = [row["TableName"] for row in client.execute_mgmt("Moneta", ".show tables").primary_results[0]]
    assert "ClientsKustoData_CL" in tables, tables
    databases = client.execute_mgmt("Moneta", ".show databases").primary_results[0]
    assert databases[0]["DatabaseName"] == "Moneta"


def bad_input():
    for text in (MINE + " | where Stpe == 1", MINE + " | whree"):
        refused(lambda: by_token().execute("Moneta", text), "error")
    try:
        by_token().execute("Moneta", MINE + " | where Stpe == 1")
    except KustoServiceError as error:
        assert error.is_semantic_error() and "Stpe" in str(error), error


def bad_credential():
    refused(lambda: by_token(WRONG).execute("Moneta", "print 1"), "401")
    refused(lambda: by_secret("0" * 64).execute("Moneta", "print 1"), "client_secret")


main(globals())
