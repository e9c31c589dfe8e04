#!/usr/bin/env bash
# Checks /v1/openapi.json and fuzzes what it describes against a server of its own. MONETA_BIN names the program;
# MONETA_EXAMPLES how many requests each operation gets at most.
set -euo pipefail
cd "$(dirname "$0")"
python=$(../interop/environment.sh "$PWD/requirements.txt")
MONETA_BIN=$(realpath "${MONETA_BIN:?names the program to test}") exec "$python" fuzz.py "$@"
