#!/usr/bin/env bash
# Installs what building (`build`), testing (`test`) or testing the pages (`web`) needs and this machine lacks, from
# Debian's packages. Does nothing, and needs no rights, when everything is there.
set -euo pipefail

need_command() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }

missing=()
need_command cc gcc
need_command make make
need_command node nodejs
need_command npm npm
if [ "${1:-build}" = test ]; then
  need_command rsyslogd rsyslog
  compgen -G '/usr/lib/*/rsyslog/lmnsd_gtls.so' >/dev/null || missing+=(rsyslog-gnutls)
  need_command logger bsdutils
  need_command curl curl
  need_command python3 python3
  need_command openssl openssl
  need_command kcat kcat
  need_command nats-server nats-server
  need_command softhsm2-util softhsm2
  need_command prometheus-alertmanager prometheus-alertmanager
  need_command java default-jre-headless
  python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
fi

[ "${1:-build}" = web ] && need_command chromium chromium

if ! command -v cargo >/dev/null 2>&1; then
  echo "Rust is missing: install it with rustup (rust-version in Cargo.toml), then run this again." >&2
  exit 1
fi
[ "${#missing[@]}" -eq 0 ] && exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo=sudo
fi
echo "installing ${missing[*]}" >&2
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
