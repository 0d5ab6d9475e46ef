#!/bin/sh
# Builds release.wasm and http-check.wasm beside this file. Needs, once,
# `pip install -r requirements.txt`.
set -eu
cd "$(dirname "$0")"
for name in release http-check; do
    componentize-py -q -d ../wit -w "$name" componentize -p "$name" app -o "$name.wasm"
done
