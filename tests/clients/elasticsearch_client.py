"""elasticsearch: bulk requests of its helpers, single documents, and the handshake before them."""

from elasticsearch import AuthenticationException, Elasticsearch, helpers

from proof import CREDENTIAL, CREDENTIAL_ID, RUN, SECRET, URL, WRONG, expect_rows, main, refused


def client(**sign_in):
    return Elasticsearch(URL, retry_on_timeout=False, max_retries=0, **(sign_in or {"api_key": CREDENTIAL}))


def send():
    es = client()
    assert es.info()["version"]["build_flavor"] == "default"
    actions = [
        {"_op_type": "create", "_index": "clientselastic-2026.01.02", "_id": f"{RUN}-{n}", "Run": RUN, "Step": n}
        for n in range(500)
    ]
    done, errors = helpers.bulk(es, actions, chunk_size=200)
    assert (done, errors) == (500, []), (done, errors)
    # The same requests again, as after a broken connection, store nothing twice.
    helpers.bulk(es, actions, chunk_size=200)
    # The other two ways to sign in, and a single document.
    client(api_key=(CREDENTIAL_ID, SECRET)).index(index="clientselastic", document={"Run": RUN, "Step": 500})
    client(basic_auth=("moneta", CREDENTIAL)).index(index="clientselastic", document={"Run": RUN, "Step": 501})


def read():
    text = f"clientselastic_CL | where Run == '{RUN}' | summarize n = count(), d = dcount(Step), m = max(Step)"
    expect_rows(text, [{"n": 502, "d": 502, "m": 501}])


def bad_input():
    actions = [{"_op_type": "delete", "_index": "clientselastic", "_id": "x"}, {"_index": "MonetaAudit", "a": 1}]
    done, errors = helpers.bulk(client(), actions, raise_on_error=False)
    assert done == 0 and [list(error.values())[0]["status"] for error in errors] == [400, 403], errors


def bad_credential():
    refused(lambda: client(api_key=WRONG).index(index="x", document={"a": 1}), "AuthenticationException")


main(globals())
