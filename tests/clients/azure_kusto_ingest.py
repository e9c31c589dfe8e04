"""azure-kusto-ingest: streaming ingest of JSON and of separated values, gzip as the client packs it."""

import io
import json

from azure.kusto.data import DataFormat, KustoConnectionStringBuilder
from azure.kusto.ingest import IngestionProperties, KustoStreamingIngestClient

from proof import CREDENTIAL, RUN, URL, WRONG, expect_rows, main, refused


def client(credential=CREDENTIAL):
    return KustoStreamingIngestClient(
        KustoConnectionStringBuilder.with_aad_application_token_authentication(URL, credential)
    )


def ingest(text, format, table="ClientsKustoIngest_CL", by=None):
    properties = IngestionProperties("Moneta", table, data_format=format)
    return (by or client()).ingest_from_stream(io.BytesIO(text.encode()), properties)


def send():
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


def bad_input():
    refused(lambda: ingest("no json", DataFormat.JSON), "none of the 1 records is an event")
    refused(lambda: ingest("{}", DataFormat.AVRO), "avro", "json")
    refused(lambda: ingest('{"a":1}', DataFormat.JSON, table="MonetaAudit"), "only Moneta itself writes")


def bad_credential():
    refused(lambda: ingest("{}", DataFormat.JSON, by=client(WRONG)), "401")


main(globals())
