#!/usr/bin/env bash
# Tests the parts of the pages alone; with MONETA_BIN, which names the program, then all pages in Chromium against it.
set -euo pipefail
cd "$(dirname "$0")/../web"
if [ ! -d node_modules/vitest ]; then
  echo "the pages are not tested: Node or npm is missing, or could not install what they need" >&2
  exit 0
fi
npm run --silent test
if [ -n "${MONETA_BIN:-}" ]; then
  MONETA_BIN="$(realpath "$MONETA_BIN")" npm run --silent browser-test
fi
