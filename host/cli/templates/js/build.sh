#!/bin/sh
# Builds {{ name }}.wasm.
set -eu
cd "$(dirname "$0")"
npm install --no-package-lock --no-fund --no-audit --silent
npm run --silent build
