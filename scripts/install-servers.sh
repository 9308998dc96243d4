#!/bin/sh
# Installs what the integration tests talk to: moto (an EC2 API) and schemathesis (requests made from the description of an API), each in a virtual
# environment outside the checkout; the API server of Kubernetes, a newer etcd and the tools that judge manifests, built with Go from their modules (a quarter
# of an hour, once per version); and, as root on Debian, etcd, a clock that can be set for one process (libfaketime), and the tools for namespaces. What cannot
# be installed is said in one line; the tests that need it are then skipped, or fail where CI=true.
set -eu

sources=$(cd "$(dirname "$0")/../test/servers" && pwd)

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

# The version of Go that the newest of the programs asks for; one of 1.21 or newer fetches it by itself from the module proxy.
go_wanted=1.24
go_oldest=1.21

# find_go: the command that builds, in $go; says once why there is none.
go=
find_go() {
  [ -z "$go" ] || [ "$go" = none ] || return 0
  [ "$go" != none ] || return 1
  go=none
  for candidate in go /usr/local/go/bin/go; do
    version=$("$candidate" env GOVERSION 2>/dev/null) || continue
    version=${version#go}
    minor=${version#*.}
    minor=${minor%%[!0-9]*}
    if [ "${version%%.*}" -gt 1 ] || [ "${minor:-0}" -ge "${go_oldest#*.}" ]; then
      go=$candidate
      return 0
    fi
    echo "Go $version is too old to build the servers of the Kubernetes tests: they will not run; put Go $go_wanted or newer on the PATH (https://go.dev/dl)" >&2
    return 1
  done
  echo "Go is missing, which builds the servers of the Kubernetes tests: they will not run; put Go $go_wanted or newer on the PATH (https://go.dev/dl), or name a folder with kube-apiserver and kubectl by KUBEBUILDER_ASSETS" >&2
  return 1
}

# build_go PROGRAM PLACE FOLDER PACKAGE LINKED: builds a package of Go to $cache/PLACE, unless it is there or in KUBEBUILDER_ASSETS. FOLDER is the module that it is
# built in; `-` takes PACKAGE as the main module, with its version behind an @. LINKED: what the linker sets. The places are those of test/support/tools.ts.
build_go() {
  [ ! -x "$cache/$2" ] || return 0
  [ -z "${KUBEBUILDER_ASSETS:-}" ] || [ ! -x "$KUBEBUILDER_ASSETS/$1" ] || return 0
  find_go || return 0
  echo "building $1 ($2), once" >&2
  place=$cache/$2
  log=$cache/$(basename "$2").log
  mkdir -p "$(dirname "$place")"
  made=$(mktemp -d "$cache/build-XXXXXX")
  if (
    # What is set for other work (a file of a workspace, a folder of vendored modules, another platform) is not meant for this.
    unset GOOS GOARCH
    export CGO_ENABLED=0 GOTOOLCHAIN=auto GOWORK=off GOBIN="$made"
    if [ "$3" = - ]; then
      exec nice -n 10 "$go" install -trimpath -ldflags "-s -w $5" "$4"
    fi
    cd "$sources/$3"
    exec nice -n 10 "$go" build -mod=readonly -trimpath -ldflags "-s -w $5" -o "$made/$1" "$4"
  ) >"$log" 2>&1; then
    mv -f "$made/$1" "$place"
    rm -f "$log"
  else
    echo "cannot build $1 ($2): its tests will not run; Go's words are in $log" >&2
  fi
  rm -rf "$made"
}

kubernetes="-X k8s.io/component-base/version.gitVersion=v1.34.4 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34"
capabilities="-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34"

build_go kube-apiserver kubernetes-1.34.4/kube-apiserver kubernetes ./apiserver "$kubernetes"
build_go kubectl kubernetes-1.34.4/kubectl kubernetes ./kubectl "$kubernetes"
build_go kustomize tools/kustomize-5.7.1 - sigs.k8s.io/kustomize/kustomize/v5@v5.7.1 ""
build_go kubeconform tools/kubeconform-0.7.0 - github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 "-X main.version=v0.7.0"
build_go kube-score tools/kube-score-1.20.0 - github.com/zegl/kube-score/cmd/kube-score@v1.20.0 "-X main.version=1.20.0"
build_go helm tools/helm-3.19.2 - helm.sh/helm/v3/cmd/helm@v3.19.2 "-X helm.sh/helm/v3/internal/version.version=v3.19.2 $capabilities"
build_go etcd-3.5 tools/etcd-3.5.24 etcd . ""
