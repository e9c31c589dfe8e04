#!/usr/bin/env bash
# Prints the path of a Python with the packages of tests/requirements.txt, making the environment when it is missing
# or the list has changed. Lives beside the build output, outside the clone.
set -euo pipefail
here="$(cd "$(dirname "$0")/.." && pwd)"
requirements="$here/tests/requirements.txt"
venv="$(dirname "$("$here/scripts/target-dir.sh")")/venv"
stamp="$venv/requirements.txt"
if ! cmp -s "$requirements" "$stamp"; then
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
  cp "$requirements" "$stamp"
fi
echo "$venv/bin/python"
