"""msticpy: its Kusto provider, as notebooks use it: connect by a connection string, schema, queries as data frames."""

import requests
from msticpy.data.core.data_providers import QueryProvider

from proof import CREDENTIAL, RUN, URL, WRONG, main, refused

MINE = f"ClientsMsticpy_CL | where Run == '{RUN}'"


def connected(credential=CREDENTIAL):
    provider = QueryProvider("Kusto")
    provider.connect(connection_str=f"Data Source={URL};Fed=True;UserToken={credential}", database="Moneta")
    return provider


def send():
    """It sends nothing; what it reads comes by the interface for events."""
    rows = [{"Run": RUN, "Step": number, "Bag": {"n": number}} for number in range(10)]
    answer = requests.post(
        f"{URL}/v1/ingest/ClientsMsticpy_CL", json=rows, headers={"Authorization": f"Bearer {CREDENTIAL}"}, timeout=30
    )
    assert answer.json()["accepted"] == 10, answer.text


def read():
    provider = connected()
    frame = provider.exec_query(MINE + " | project TimeGenerated, Step, n = tolong(Bag.n) | order by Step asc")
    assert list(frame["Step"]) == list(frame["n"]) == list(range(10)), frame
    assert str(frame["TimeGenerated"].dtype).startswith("datetime64"), frame.dtypes
    summary = provider.exec_query(MINE + " | summarize total = sum(Step) by even = Step % 2 == 0 | order by total asc")
    assert list(summary["total"]) == [20, 25], summary
    driver = provider._query_provider
    assert "Moneta" in driver.get_database_names()
    schema = driver.get_database_schema("Moneta")
    assert schema["ClientsMsticpy_CL"]["Step"] == "Int64", schema["ClientsMsticpy_CL"]


def bad_input():
    refused(lambda: connected().exec_query(MINE + " | where Stpe == 1"), "Stpe")


def bad_credential():
    refused(lambda: connected(WRONG).exec_query(MINE), "401")


main(globals())
