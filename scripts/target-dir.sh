#!/usr/bin/env bash
# Prints the directory for build output: shared by all clones of one user, so that a second clone builds in seconds.
# MONETA_TARGET_DIR overrides it; where the cache cannot be written, the clone's own `target` serves.
set -u
shared="${MONETA_TARGET_DIR:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/moneta/target}"
if mkdir -p "$shared" 2>/dev/null && [ -w "$shared" ]; then
  echo "$shared"
else
  echo "$(cd "$(dirname "$0")/.." && pwd)/target"
fi
