"""A mail server for tests: aiosmtpd on a free port of this machine.

Prints its port as the first line, then each message it takes as one line of JSON. Arguments: the mode (`plain`,
`starttls` or `implicit`), and for TLS the files of certificate and key. Where there is TLS it takes mail only from `moneta`
with the password `open sesame`. The receiver `busy@...` is told to come back once, `gone@...` is refused.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Keeper:
    """Keeps nothing: prints."""

    told_busy = False

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("gone@"):
            return "550 no such mailbox"
        if address.startswith("busy@") and not self.told_busy:
            self.told_busy = True
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        message = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode("utf-8"),
            "encrypted": session.ssl is not None or sys.argv[1] == "implicit",
            "user": session.auth_data.decode() if session.auth_data else None,
        }
        print(json.dumps(message), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == b"moneta" and data.password == b"open sesame"
    # A refusal that is "handled" would get no reply at all.
    return AuthResult(success=right, handled=False, auth_data=data.login)


def main():
    mode = sys.argv[1]
    context = None
    if mode != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    options = {"hostname": "127.0.0.1", "port": 0}
    if mode == "starttls":
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}
    if mode == "implicit":
        options |= {
            "ssl_context": context,
            "auth_required": True,
            "auth_require_tls": False,
            "authenticator": authenticate,
        }
    controller = OnFreePort(Keeper(), **options)
    controller.start()
    print(controller.port, flush=True)
    sys.stdin.read()
    controller.stop()


class OnFreePort(Controller):
    """A controller that learns its port before it calls itself."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


if __name__ == "__main__":
    main()
