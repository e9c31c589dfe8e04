"""pagerduty: events of the Events API v2, whose routing key is a credential."""

import pagerduty

from proof import CREDENTIAL, RUN, SECURE_URL, WRONG, expect_rows, main, refused


def client(key=CREDENTIAL):
    return pagerduty.EventsApiV2Client(key, base_url=SECURE_URL)


def send():
    key = client().trigger("disk full", "db", dedup_key=RUN, severity="critical", custom_details={"free": 0})
    assert key == RUN, key
    client().resolve(RUN)


def read():
    text = f"Alert | where AlertId == '{RUN}' | project AlertName, AlertState, Computer | order by AlertState asc"
    expect_rows(
        text,
        [
            {"AlertName": "disk full", "AlertState": "firing", "Computer": "db"},
            {"AlertName": "", "AlertState": "resolved", "Computer": ""},
        ],
    )


def bad_input():
    refused(lambda: client().trigger("x", "y", severity="fatal"), "400")


def bad_credential():
    refused(lambda: client(WRONG).trigger("x", "y"), "401")


main(globals())
