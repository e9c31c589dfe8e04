"""azure-kusto-data: queries, streaming, parameters, commands and errors, by three ways to sign in."""

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


def read():
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
