#!/bin/sh
# Installs and builds what a checkout is missing, so that one command is enough on a fresh clone.
set -e
cd "$(dirname "$0")/.."
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund
fi
node scripts/build.js
