#!/bin/sh
# Installs the npm packages of package-lock.json when that changed since the last time, and checks that a Node that is new enough is among them.
# No install script of any package runs. Run from the root of the checkout.
set -eu

stamp=node_modules/.romana-packages
lock=$(cksum <package-lock.json)

if [ "$(cat "$stamp" 2>/dev/null)" != "$lock" ]; then
  if ! command -v npm >/dev/null 2>&1; then
    echo "npm is missing: install Node.js with npm (https://nodejs.org, or apt-get install npm), then run make again" >&2
    exit 1
  fi
  # The warnings are about the age of the Node that runs npm, which is not the one that runs us.
  npm ci --ignore-scripts --loglevel=error
  echo "$lock" >"$stamp"
fi

# The binary is built for glibc. Where it does not run, the machine's own must be found in its place.
if [ -e node_modules/.bin/node ] && ! node_modules/.bin/node --version >/dev/null 2>&1; then
  rm node_modules/.bin/node
fi

for node in node_modules/.bin/node node; do
  version=$("$node" --version 2>/dev/null) || continue
  major=${version#v}
  if [ "${major%%.*}" -ge 24 ]; then
    exit 0
  fi
done
echo "Node 24 is missing: npm has none that runs on this machine ($(uname -sm)); install Node 24 or newer (https://nodejs.org) and put it on the PATH" >&2
exit 1
