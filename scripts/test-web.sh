#!/usr/bin/env bash
# Tests the pages: their parts alone, then all of them in Chromium against the program that MONETA_BIN names.
set -euo pipefail
cd "$(dirname "$0")/../web"
: "${MONETA_BIN:?must name the program moneta}"
if [ ! -d node_modules/vitest ]; then
  [ "${CI:-}" = true ] && { echo "web/node_modules is missing: scripts/build-web.sh did not run" >&2; exit 1; }
  echo "the pages are not tested: Node or npm is missing" >&2
  exit 0
fi
npm run --silent test
MONETA_BIN="$(realpath "$MONETA_BIN")" npm run --silent browser-test
