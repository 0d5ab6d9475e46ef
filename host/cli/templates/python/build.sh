#!/bin/sh
# Builds {{ name }}.wasm.
set -eu
cd "$(dirname "$0")"
componentize-py -q -d wit -w {{ world }} componentize -p . app -o {{ name }}.wasm
