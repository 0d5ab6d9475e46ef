#!/bin/sh
# Builds release.wasm and http-check.wasm beside this file. Needs Node.js 20 or later.
set -eu
cd "$(dirname "$0")"
# No lock: the one package and what it brings for each platform are pinned already.
npm install --no-package-lock --no-fund --no-audit --silent
npm run --silent build
