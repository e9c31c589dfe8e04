"""azure-monitor-query: queries on a workspace and batches of them, signed in by azure-identity over TLS."""

import json
from datetime import timedelta

from azure.identity import ClientSecretCredential
from azure.monitor.query import LogsBatchQuery, LogsQueryClient, LogsQueryStatus

import requests
from proof import CREDENTIAL, CREDENTIAL_ID, RUN, SECRET, SECURE_URL, URL, main, refused

QUERY = f"ClientsLogsQuery_CL | where Run == '{RUN}' | project Step, Bag, TimeGenerated | order by Step asc"


def client(secret=SECRET):
    sign_in = ClientSecretCredential(
        "moneta", CREDENTIAL_ID, secret, authority=SECURE_URL, disable_instance_discovery=True
    )
    return LogsQueryClient(sign_in, endpoint=f"{SECURE_URL}/v1")


def send():
    rows = [{"Run": RUN, "Step": number, "Bag": {"n": number}} for number in range(10)]
    answer = requests.post(
        f"{URL}/v1/ingest/ClientsLogsQuery_CL", json=rows, headers={"Authorization": f"Bearer {CREDENTIAL}"}, timeout=30
    )
    assert answer.json()["accepted"] == 10, answer.text


def read():
    whole = client().query_workspace(
        "moneta",
        QUERY + " | render table",
        timespan=timedelta(hours=1),
        server_timeout=30,
        include_statistics=True,
        include_visualization=True,
    )
    assert whole.status == LogsQueryStatus.SUCCESS, whole
    rows = whole.tables[0].rows
    assert [row["Step"] for row in rows] == list(range(10)), rows
    assert json.loads(rows[3]["Bag"]) == {"n": 3} and rows[3]["TimeGenerated"].tzinfo is not None, list(rows[3])
    assert whole.statistics["query"]["executionTime"] >= 0 and whole.visualization["visualization"] == "table"
    # The time of the request cuts the rows.
    none = client().query_workspace("moneta", QUERY, timespan=(rows[0]["TimeGenerated"] - timedelta(days=2), timedelta(days=1)))
    assert none.tables[0].rows == [], none.tables[0].rows
    batch = [
        LogsBatchQuery("moneta", QUERY + " | take 2", timespan=None),
        LogsBatchQuery("moneta", "ClientsLogsQuery_CL | where Stpe == 1", timespan=timedelta(days=1)),
        LogsBatchQuery("moneta", QUERY + " | count", timespan=timedelta(days=1)),
    ]
    first, second, third = client().query_batch(batch)
    assert len(first.tables[0].rows) == 2 and third.tables[0].rows[0][0] == 10, (first, third)
    assert second.status == LogsQueryStatus.FAILURE and "Stpe" in str(second), second


def bad_input():
    misspelt = lambda: client().query_workspace("moneta", "ClientsLogsQuery_CL | where Stpe == 1", timespan=None)
    refused(misspelt, "HttpResponseError", "BadArgumentError", "Stpe")


def bad_credential():
    refused(lambda: client("0" * 64).query_workspace("moneta", "print 1", timespan=None), "client_secret")


main(globals())
