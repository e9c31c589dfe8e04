#!/usr/bin/env bash
# Builds the pages of web/ into web/dist/pages, which the program's build compiles in. What npm installs and what was
# built before are kept outside the clone by their content, so that a second clone needs seconds. Without Node 18 it
# says so and succeeds: the program then has one page that says how to get the others. `--need` makes that an error.
set -euo pipefail
cd "$(dirname "$0")/../web"

need=""
[ "${1:-}" = --need ] && need=yes
without() {
  echo "the pages are not built: $1" >&2
  [ -z "$need" ] && exit 0
  exit 1
}
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 || without "Node and npm are missing (apt-get install nodejs npm)"
[ "$(node -p 'Number(process.versions.node.split(".")[0])')" -ge 18 ] || without "Node $(node --version) is older than 18"

cache="${MONETA_WEB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/moneta/web}"
mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || { cache="$PWD/dist/cache"; mkdir -p "$cache"; }

digest() { sha256sum | cut -c1-16; }
modules="$cache/modules-$(cat package.json package-lock.json | digest)-$(node -p 'process.platform + process.arch')"
sources="$(git ls-files -co --exclude-standard -- . 2>/dev/null | sort)"
[ -n "$sources" ] || sources="$(find . -path ./node_modules -prune -o -path ./dist -prune -o -type f -print | sort)"
built="$cache/pages-$(echo "$sources" | grep -v '^tests/' | while read -r file; do if [ -f "$file" ]; then sha256sum "$file"; fi; done | digest)"

# One build at a time; a build that was stopped leaves nothing that looks finished.
exec 9>"$cache/lock"
flock 9
if [ ! -d "$modules" ]; then
  rm -rf "$modules.part" && mkdir -p "$modules.part"
  cp package.json package-lock.json "$modules.part/"
  (cd "$modules.part" && npm ci --no-fund --no-audit --ignore-scripts --loglevel=error) || { [ -d "$built" ] || without "npm could not install what they need"; }
  [ -d "$modules.part/node_modules" ] && mv "$modules.part" "$modules"
fi
# A directory that somebody made by hand stays.
if [ -L node_modules ] || [ ! -e node_modules ]; then ln -sfn "$modules/node_modules" node_modules; fi
if [ ! -d "$built" ]; then
  rm -rf dist/pages
  npm run --silent build >&2
  rm -rf "$built.part" && cp -r dist/pages "$built.part" && mv "$built.part" "$built"
fi
# Unchanged pages keep their times: the program is not built again for nothing.
if ! diff -rq "$built" dist/pages >/dev/null 2>&1; then
  rm -rf dist/pages && mkdir -p dist && cp -r "$built" dist/pages
fi
# Old builds go; what another clone may still want is quickly made again.
find "$cache" -maxdepth 1 \( -name 'pages-*' -o -name 'modules-*' \) -mtime +30 -exec rm -rf {} + 2>/dev/null || true
touch "$built" "$modules" 2>/dev/null || true
