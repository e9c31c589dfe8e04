"""azure-kusto-ingest: tables and mappings by command, streaming ingest of JSON and of separated values with and without
them, gzip as the client packs it."""

import io
import json

from azure.kusto.data import DataFormat, KustoClient, KustoConnectionStringBuilder
from azure.kusto.ingest import IngestionProperties, KustoStreamingIngestClient

from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main, refused


def client(credential=CREDENTIAL):
    return KustoStreamingIngestClient(
        KustoConnectionStringBuilder.with_aad_application_token_authentication(URL, credential)
    )


def command(text):
    """Rows of a management command."""
    build = KustoConnectionStringBuilder.with_aad_application_token_authentication
    return KustoClient(build(URL, CREDENTIAL)).execute_mgmt("Moneta", text).primary_results[0].to_dict()["data"]


def ingest(text, format, table="ClientsKustoIngest_CL", by=None, mapping=None):
    properties = IngestionProperties("Moneta", table, data_format=format, ingestion_mapping_reference=mapping)
    return (by or client()).ingest_from_stream(io.BytesIO(text.encode()), properties)


def make_table():
    """A table, a column more, and mappings of both kinds; a table that stays empty."""
    command(".create table ClientsMapped_CL (Run:string, Step:long, At:datetime) with (docstring='of clients')")
    command(".create-merge table ClientsMapped_CL (Step:long, Bag:dynamic)")
    as_json = [
        {"column": "Run", "Properties": {"Path": "$.meta.run"}},
        {"column": "Step", "Properties": {"Path": "$.n"}},
        {"column": "At", "Properties": {"Path": "$.at", "Transform": "DateTimeFromUnixSeconds"}},
    ]
    as_csv = [
        {"Name": "Step", "DataType": "long", "Ordinal": "0"},
        {"Name": "Run", "DataType": "string", "Ordinal": "2"},
        {"Name": "Bag", "DataType": "dynamic", "ConstValue": '{"from": "csv"}'},
    ]
    for kind, mapping in (("json", as_json), ("csv", as_csv)):
        command(f".create-or-alter table ClientsMapped_CL ingestion {kind} mapping 'steps' ```{json.dumps(mapping)}```")
    command(f".create table ClientsEmpty{RUN}_CL (only:string)")


def send_mapped():
    rows = [{"meta": {"run": RUN, "host": "h"}, "n": step, "at": 1767323045} for step in range(100)]
    lines = "\n".join(json.dumps(row) for row in rows)
    ingest(lines, DataFormat.JSON, table="ClientsMapped_CL", mapping="steps")
    values = "".join(f"{step},beside,{RUN}\n" for step in range(100, 150))
    ingest(values, DataFormat.CSV, table="ClientsMapped_CL", mapping="steps")


def send():
    make_table()
    send_mapped()
    rows = [{"Run": RUN, "Step": step, "Bag": {"n": step}} for step in range(100)]
    ingest("\n".join(json.dumps(row) for row in rows), DataFormat.JSON)
    ingest(json.dumps([{"Run": RUN, "Step": step} for step in range(100, 150)]), DataFormat.MULTIJSON)
    expect_rows(f"ClientsKustoIngest_CL | where Run == '{RUN}' | count", [{"Count": 150}])
    # By place: TimeGenerated, then the columns in the order of the schema.
    values = "".join(f"2026-01-02T03:04:05Z,{RUN},{step},\"{{\"\"n\"\":{step}}}\"\n" for step in range(150, 200))
    ingest(values, DataFormat.CSV)
    ingest(values.replace("\"{\"\"n\"\":", "").replace("}\"", "").replace(",", "\t"), DataFormat.TSV)


def read():
    text = f"ClientsKustoIngest_CL | where Run == '{RUN}' | summarize n = count(), d = dcount(Step), s = sum(Step), b = sum(tolong(Bag.n))"
    expect_rows(text, [{"n": 250, "d": 200, "s": 19900 + 8725, "b": 4950 + 8725}])
    read_mapped()


def read_mapped():
    """After the restart the mappings are there, and what they did not name is kept."""
    send_mapped()
    expect_rows(
        f"ClientsMapped_CL | where Run == '{RUN}' | summarize n = count(), d = dcount(Step, 4), at = max(At),"
        " hosts = countif(_Extra.Unmapped.meta.host == 'h'), beside = countif(_Extra.Unmapped.Field2 == 'beside'),"
        " csv = countif(Bag.['from'] == 'csv')",
        [{"n": 300, "d": 150, "at": "2026-01-02T03:04:05.0000000Z", "hosts": 200, "beside": 100, "csv": 100}],
    )
    shown = command(".show table ClientsMapped_CL ingestion mappings")
    assert [row["Kind"] for row in shown] == ["Csv", "Json"], shown
    shown = command(f".show table ClientsEmpty{RUN}_CL cslschema")
    assert "only:string" in shown[0]["Schema"], shown
    command(f".drop table ClientsEmpty{RUN}_CL")
    assert f"ClientsEmpty{RUN}_CL" not in [row["TableName"] for row in command(".show tables")]


def bad_input():
    refused(lambda: ingest("no json", DataFormat.JSON), "none of the 1 records is an event")
    refused(lambda: ingest("{}", DataFormat.AVRO), "avro", "json")
    refused(lambda: ingest('{"a":1}', DataFormat.JSON, table="MonetaAudit"), "only Moneta itself writes")
    refused(lambda: ingest("{}", DataFormat.JSON, mapping="none"), "'none'", "was not found")
    refused(lambda: command(".drop table ClientsMapped_CL"), "retention")
    refused(lambda: command(".alter table ClientsMapped_CL (Run:string)"), "would lose")
    refused(lambda: command(".create-merge table ClientsMapped_CL (Step:string)"), "does not change")


def bad_credential():
    refused(lambda: ingest("{}", DataFormat.JSON, by=client(WRONG)), "401")


main(globals())
