#!/usr/bin/env bash
# Runs every client of this directory against a server of its own and prints a table of what they proved; with --write
# the table is kept in docs/clients.md. Then topics of Kafka and streams of NATS are read, daemons of Debian's send, and logs
# are followed, while the server is killed and theirs go away.
# MONETA_BIN names the program. Clients are installed outside the clone, by the hash of what is asked for: from PyPI into
# a virtual environment, from npm where Node is there.
set -euo pipefail
cd "$(dirname "$0")"
python=$(../interop/environment.sh "$PWD/requirements.txt")
cache="${XDG_CACHE_HOME:-$HOME/.cache}/moneta"
modules="$cache/clients-npm-$(cat package.json package-lock.json | sha256sum | cut -c1-16)"
if command -v npm >/dev/null 2>&1; then
  if [ ! -d "$modules" ]; then
    fresh=$(mktemp -d "$cache/clients-npm-XXXXXX")
    cp package.json package-lock.json "$fresh/"
    (cd "$fresh" && npm ci --no-fund --no-audit --ignore-scripts --loglevel=error) >&2
    mv -T "$fresh" "$modules" 2>/dev/null || rm -rf "$fresh"
  fi
  export MONETA_NODE_MODULES="$modules"
fi
MONETA_BIN=$(realpath "${MONETA_BIN:?names the program to test}")
export MONETA_BIN
"$python" run.py "$@"
"$python" kafka_restarts.py
"$python" nats_restarts.py
for proof in journal_upload followed; do
  "$python" "${proof}_restarts.py"
done
# Syslog daemons wait long before they call again: minutes, so only where the table is made.
[ "${1:-}" != --write ] || "$python" syslog_restarts.py
"$python" auditd_agreement.py
