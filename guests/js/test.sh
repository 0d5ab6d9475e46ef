#!/bin/sh
# Holds the edits to the cases of tests/edits.json. Needs Node.js 20 or later.
set -eu
cd "$(dirname "$0")"
node edit_test.mjs
