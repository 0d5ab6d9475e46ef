#!/bin/sh
# Holds the edits to the cases of tests/edits.json. Needs Python 3.10 or later.
set -eu
cd "$(dirname "$0")"
PYTHONDONTWRITEBYTECODE=1 python3 edit_test.py
