#!/bin/sh
# Builds the checker of record proofs in main.go and prints its path.
#
#   build.sh PYTHON OUTPUT_DIRECTORY
#
# PYTHON is of an environment with the packages of requirements.txt: the Go toolchain is one of them. golang.org/x/mod is
# taken from the toolchain's own copy: nothing is downloaded.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
go=$("$1" -c 'import go, os; print(os.path.join(os.path.dirname(go.__file__), "bin", "go"))')
out="$2"
mkdir -p "$out/mod" "$out/main"
cp -R "$("$go" env GOROOT)/src/cmd/vendor/golang.org/x/mod/." "$out/mod"
printf 'module golang.org/x/mod\n\ngo 1.24\n' > "$out/mod/go.mod"
cp "$here/main.go" "$out/main"
cat > "$out/main/go.mod" <<EOM
module moneta.example/tlog

go 1.24

require golang.org/x/mod v0.0.0

replace golang.org/x/mod => ../mod
EOM
cd "$out/main"
GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local GOCACHE="$out/cache" GOPATH="$out/path" "$go" build -o "$out/tlog" . >&2
echo "$out/tlog"
