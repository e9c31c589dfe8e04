#!/bin/sh
# Prints the path of a Python interpreter that has the packages of requirements.txt, or of the file named, making a
# virtual environment the first time. Nothing is installed outside it. Fails with a reason on standard error when that is impossible.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
requirements="${1:-$here/requirements.txt}"
sum=$(sha256sum "$requirements" | cut -c1-16)
environment="${XDG_CACHE_HOME:-$HOME/.cache}/moneta/interop-$sum"
if [ ! -x "$environment/bin/python" ]; then
    # Made beside its place and moved, so that two runs at once cannot see half of one.
    fresh=$(mktemp -d "$(mkdir -p "$(dirname "$environment")" && dirname "$environment")/interop-XXXXXX")
    python3 -m venv "$fresh" >&2
    "$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
    mv -T "$fresh" "$environment" 2>/dev/null || rm -rf "$fresh"
fi
echo "$environment/bin/python"
