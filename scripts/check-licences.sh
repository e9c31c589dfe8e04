#!/usr/bin/env bash
# Fails when a dependency has a licence that is not on the list, or comes from anywhere but the public registry.
# The same check as `cargo deny check licenses sources`, with what cargo itself prints.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu | python3 scripts/check_licences.py
