"""adbc-driver-flightsql: Arrow Flight SQL over HTTP/2, with and without TLS, signed in both ways."""

import json
import os
import time

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow
import requests
from adbc_driver_flightsql import DatabaseOptions

from proof import CREDENTIAL, CREDENTIAL_ID, RUN, SECRET, SECURE_URL, URL, WAIT_SECONDS, WRONG, main, query, refused

TABLE = f"Flight{RUN}_CL"
NUM_ROWS = 50_000
"""Rows that a query makes of each row that is stored: more than one answer may have, so they must come as a stream."""
TIMES = 20


def plain(credential=CREDENTIAL):
    """Without TLS on one machine, with a bearer credential."""
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {credential}"}
    return flight_sql.connect(URL.replace("http://", "grpc://"), db_kwargs=options, autocommit=True)


def secure(name=CREDENTIAL_ID, secret=SECRET):
    """Over TLS, with a handshake by name and secret."""
    with open(os.environ["SSL_CERT_FILE"]) as authority:
        options = {
            DatabaseOptions.TLS_ROOT_CERTS.value: authority.read(),
            "username": name,
            "password": secret,
        }
    return flight_sql.connect(SECURE_URL.replace("https://", "grpc+tls://"), db_kwargs=options, autocommit=True)


def table(connection, text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetch_arrow_table()


def send():
    """Flight SQL only reads: what is read back comes over another way."""
    rows = [{"TimeGenerated": "2026-01-02T03:04:05Z", "Step": step, "Text": f"step {step}"} for step in range(NUM_ROWS)]
    answer = requests.post(
        f"{URL}/v1/ingest/{TABLE}",
        data="\n".join(json.dumps(row) for row in rows),
        headers={"Authorization": f"Bearer {CREDENTIAL}", "Content-Type": "application/x-ndjson"},
        timeout=60,
    )
    assert answer.ok, answer.text
    with plain() as connection, connection.cursor() as cursor:
        cursor.execute(f"{TABLE} | count")
        assert cursor.fetchall() == [(NUM_ROWS,)]


def read():
    """The server was killed in between; the handles of before are texts, and hold no state."""
    for connect in (plain, secure):
        with connect() as connection:
            everything(connection)


def everything(connection):
    rows = table(connection, f"{TABLE} | project TimeGenerated, Step, Text, Parts = split(Text, ' ') | order by Step asc")
    assert rows.num_rows == NUM_ROWS
    assert rows.column("Step").to_pylist() == list(range(NUM_ROWS))
    assert rows.schema.field("TimeGenerated").type == pyarrow.timestamp("ns", tz="UTC"), rows.schema
    assert rows.slice(7, 1).to_pylist()[0]["Parts"] == '["step","7"]'
    # Statements of SQL are read as such.
    assert table(connection, f'SELECT count(*) AS n FROM "{TABLE}"').to_pylist() == [{"n": NUM_ROWS}]
    many(connection)
    objects(connection)


def many(connection):
    """More rows than any answer has, batch by batch; and a stream that is given up stops its query."""
    text = f"{TABLE} | extend k = 1 | join kind=inner (range n from 1 to {TIMES} step 1 | extend k = 1) on k | project n, Step"
    with connection.cursor() as cursor:
        cursor.execute(text)
        batches = [batch.num_rows for batch in cursor.fetch_record_batch()]
    assert sum(batches) == TIMES * NUM_ROWS and len(batches) > TIMES, batches[:5]
    with connection.cursor() as cursor:
        cursor.execute("range x from 1 to 100000000 step 1")
        reader = cursor.fetch_record_batch()
        assert reader.read_next_batch().num_rows > 0
        cursor.adbc_cancel()
        reader.close()
    given_up = ".show queries | where Text startswith 'range x from 1 to 100000000' | where State == 'Cancelled' | count"
    deadline = time.monotonic() + WAIT_SECONDS
    while query(given_up) == [{"Count": 0}]:
        assert time.monotonic() < deadline, "the query goes on"
        time.sleep(0.2)


def objects(connection):
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    columns = connection.adbc_get_table_schema(TABLE)
    assert columns.field("Step").type == pyarrow.int64(), columns
    listed = connection.adbc_get_objects(depth="columns", table_name_filter=TABLE).read_all().to_pylist()
    [catalog] = listed
    assert catalog["catalog_name"] == "Moneta"
    [found] = catalog["catalog_db_schemas"][0]["db_schema_tables"]
    assert (found["table_name"], found["table_type"]) == (TABLE, "TABLE")
    assert "Text" in [column["column_name"] for column in found["table_columns"]]
    assert connection.adbc_get_info()["vendor_name"] == "Moneta"


def bad_input():
    with plain() as connection:
        refused(lambda: table(connection, f"{TABLE} | where Stpe == 1"), "SEM0100", "Step")
        refused(lambda: table(connection, "Nothing_CL | take 1"), "Nothing_CL")
        refused(lambda: table(connection, f"DELETE FROM {TABLE}"), "only SELECT")
        refused(lambda: table(connection, f"{TABLE} | take 1; {TABLE} | take 2"), "2 results")
        with connection.cursor() as cursor:
            refused(lambda: cursor.execute(f"{TABLE} | where Step == ?", (1,)), "")
            refused(lambda: cursor.adbc_ingest(TABLE, pyarrow.table({"a": [1]})), "")


def bad_credential():
    for connect in (lambda: plain(WRONG), lambda: secure(CREDENTIAL_ID, "0" * 64), lambda: secure("nobody", SECRET)):
        refused(lambda: table(connect(), "print 1"), "unauthenticated")


main(globals())
