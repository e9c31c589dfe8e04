"""Validates the description of the interface and fuzzes it: whatever is sent, no answer is a defect (5xx), each success
is one that is described, and what is described is taken.

Not sent: what would end the run itself (revoking the credential it uses), and what takes the whole store each time.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from openapi_spec_validator import validate

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "clients"))
from server import Server  # noqa: E402

EXAMPLES = os.environ.get("MONETA_EXAMPLES", "25")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXCLUDED = "^/v1/(verify|credentials/.*|sign-out|snapshots.*)$"


def main():
    with tempfile.TemporaryDirectory(prefix="moneta-openapi-") as directory:
        server = Server(os.environ["MONETA_BIN"], pathlib.Path(directory), {})
        server.start()
        try:
            base = f"http://127.0.0.1:{server.port}"
            with urllib.request.urlopen(f"{base}/v1/openapi.json") as answer:
                document = json.load(answer)
            validate(document)
            print(f"{sum(len(methods) for methods in document['paths'].values())} operations, a valid description")
            credential = (pathlib.Path(directory) / "data" / "cli.credential").read_text().strip()
            command = [
                sys.executable, "-m", "schemathesis.cli", "run", f"{base}/v1/openapi.json",
                "--header", f"Authorization: Bearer {credential}", "--checks", CHECKS,
                "--exclude-path-regex", EXCLUDED, "--max-examples", EXAMPLES, "--seed", "1",
                "--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--request-timeout", "60",
            ]
            result = subprocess.run(command, env=os.environ | {"NO_COLOR": "1", "NO_PROXY": "*"}, cwd=directory)
            server.stop()
        finally:
            if server.process.poll() is None:
                server.kill()
    raise SystemExit(result.returncode)


main()
