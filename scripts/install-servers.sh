#!/bin/sh
# Installs what the integration tests talk to: moto (an EC2 API) and schemathesis (requests made from the description of an API), each in a virtual
# environment outside the checkout, and, as root on Debian, etcd, a clock that can be set for one process (libfaketime), and the tools for namespaces. What cannot
# be installed is said in one line; the tests that need it are then skipped, or fail where CI=true.
set -eu

cache=${XDG_CACHE_HOME:-$HOME/.cache}/romana

missing=
command -v nft >/dev/null 2>&1 || missing="$missing nftables"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
command -v ip >/dev/null 2>&1 || missing="$missing iproute2"
command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
command -v etcdctl >/dev/null 2>&1 || missing="$missing etcd-client"
ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
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

# install_python NAME VERSION EXTRAS WHAT: a package of PyPI in an environment of its own.
install_python() {
  venv=$cache/venv-$1-$2
  [ ! -f "$venv/.complete" ] || return 0
  rm -rf "$venv"
  if python3 -m venv "$venv" >&2 &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$1$3==$2" >&2; then
    touch "$venv/.complete"
  else
    rm -rf "$venv"
    echo "cannot install $1 $2 into $venv: $4 will not run" >&2
  fi
}

install_python moto 5.2.5 "[server,ec2,iam,sts]" "the tests against an EC2 API"
install_python schemathesis 4.32.5 "" "the tests of the REST API by its description"
