"""azure-monitor-ingestion: rows for the stream of a data collection rule, signed in by azure-identity over TLS."""

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

from proof import CREDENTIAL_ID, RUN, SECRET, SECURE_URL, expect_rows, main, refused

ROWS = 3000


def client(secret=SECRET):
    sign_in = ClientSecretCredential(
        "moneta", CREDENTIAL_ID, secret, authority=SECURE_URL, disable_instance_discovery=True
    )
    return LogsIngestionClient(SECURE_URL, sign_in, credential_scopes=["https://monitor.azure.com/.default"])


def send():
    # More than one request of the client's, which cuts at 1 MiB.
    rows = [{"Run": RUN, "Step": number, "Text": f"step {number} " + "x" * 600} for number in range(ROWS)]
    client().upload(rule_id="dcr-moneta", stream_name="Custom-ClientsIngestion_CL", logs=rows)


def read():
    text = f"ClientsIngestion_CL | where Run == '{RUN}' | summarize n = count(), d = dcount(Step), m = max(Step)"
    expect_rows(text, [{"n": ROWS, "d": ROWS, "m": ROWS - 1}])


def bad_input():
    upload = lambda: client().upload(rule_id="dcr-moneta", stream_name="Custom-MonetaAudit", logs=[{"Run": RUN}])
    refused(upload, "HttpResponseError", "only Moneta itself writes to MonetaAudit")


def bad_credential():
    upload = lambda: client("0" * 64).upload(rule_id="dcr-moneta", stream_name="Custom-X_CL", logs=[{"Run": RUN}])
    refused(upload, "ClientAuthenticationError", "client_secret")


main(globals())
