#!/bin/sh
# Installs what the integration tests talk to: moto (an EC2 API) in a virtual environment outside the checkout, and, as root on Debian, the tools for
# namespaces. What cannot be installed is said in one line; the tests that need it are then skipped, or fail where CI=true.
set -eu

version=5.2.5
cache=${XDG_CACHE_HOME:-$HOME/.cache}/romana
venv=$cache/venv-moto-$version

missing=
command -v nft >/dev/null 2>&1 || missing="$missing nftables"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # one word per package
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } >&2 ||
      echo "cannot install$missing: some tests will not run" >&2
  else
    echo "missing:$missing: some tests will not run; install them, or run as root on Debian" >&2
  fi
fi

mkdir -p "$cache"
# Two checkouts may be tested at once.
if command -v flock >/dev/null 2>&1; then
  exec 9>"$cache/lock"
  flock 9
fi
if [ ! -f "$venv/.complete" ]; then
  rm -rf "$venv"
  if python3 -m venv "$venv" >&2 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server,ec2,iam,sts]==$version" >&2; then
    touch "$venv/.complete"
  else
    rm -rf "$venv"
    echo "cannot install moto $version into $venv: the tests against an EC2 API will not run" >&2
  fi
fi
