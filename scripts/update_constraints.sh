#!/usr/bin/env bash
# Writes constraints.txt: the newest versions that fit setup.cfg, found in a fresh environment.
# Run the tests before the result is committed.
#
#   scripts/update_constraints.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${1:-python3}
TORCH=2.13.0 # held until its CPU build is tested: a newer one may bring gigabytes of CUDA

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PYTHON" -m venv "$work/venv"
echo "torch==$TORCH" >"$work/pins.txt"
"$work/venv/bin/python" -m pip install --disable-pip-version-check --prefer-binary \
  --constraint "$work/pins.txt" '.[all,sbx,docs,dev]'
{
  echo "# The versions that sfv_gym is tested with, Python $("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')."
  echo "# Written by \`make constraints\`; the ranges that work are in setup.cfg."
  "$work/venv/bin/python" -m pip list --disable-pip-version-check --format freeze \
    --exclude pip --exclude sfv-gym |
    sed 's/+.*//' | sort -f
} >"$work/constraints.txt"
mv "$work/constraints.txt" constraints.txt
