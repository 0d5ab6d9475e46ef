#!/bin/sh
# Builds {{ name }}.wasm and has it look for an instance that is not there.
set -eu
cd "$(dirname "$0")"
sh build.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
root=$dir/root
mkdir "$root"
# Nothing listens on port 1.
found=$(cerebro recipe run {{ name }}.wasm --root "$root" --call check --grants @grants.json \
    --port http=1 2>&1) || true
echo "$found"
echo "$found" | grep -q "refused"
echo "{{ name }}: all as it should be"
