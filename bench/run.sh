#!/usr/bin/env bash
# Runs every benchmark on the programs in BINARIES_DIR. Results go to bench/results. Takes about an hour.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
binaries="${1:?usage: bench/run.sh BINARIES_DIR}"
[ -x "$binaries/moneta" ] || { echo "no moneta in $binaries" >&2; exit 2; }
# A Python with the engines that queries are compared with; any other leaves out those it lacks.
python="$("$here/../tests/interop/environment.sh" "$here/requirements.txt" 2>/dev/null || echo python3)"
echo "machine: $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), kernel $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg)"
for benchmark in start ingest alert_latency query kusto19 json5 windows cancel needle ledger growth decode sigma; do
  echo "== $python bench/$benchmark.py $binaries"
  "$python" "$here/$benchmark.py" "$binaries"
done
echo "== cargo run --example query_speed"
(cd "$here/.." && cargo run --locked --quiet --profile relfast -p moneta-kql-plan --example query_speed)
