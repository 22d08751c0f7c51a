#!/usr/bin/env bash
# Builds wheel and sdist, installs each into an empty virtual environment with the base
# dependencies alone, and uses it there: whatever a checkout has and a user lacks shows here.
#
#   scripts/check_wheel.sh [BUILDER [PYTHON]]
#
# BUILDER: a Python that has `build`; PYTHON: the one that the empty environment is made with.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
BUILDER=$(realpath -s "${1:-.venv/bin/python}")
PYTHON=${2:-python3}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1

# From a copy: setuptools would leave build/ in the checkout, and take up old files from there.
mkdir "$work/source" "$work/elsewhere"
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
  xargs -0 cp --parents -t "$work/source"
echo "building the sdist, and the wheel from it"
"$BUILDER" -m build --outdir "$work/dist" "$work/source" >"$work/log" 2>&1 ||
  { cat "$work/log" >&2; exit 1; }

"$PYTHON" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip "$@"; }
for dist in "$work"/dist/*.whl "$work"/dist/*.tar.gz; do
  echo "installing and using $(basename "$dist"), $(du -k "$dist" | cut -f1) kB"
  # the second one finds the dependencies there already
  pip install -qq --no-compile --prefer-binary --constraint constraints.txt "$dist"
  pip check >"$work/log" || { cat "$work/log" >&2; exit 1; }
  (cd "$work/elsewhere" && "$work/venv/bin/python" "$root/scripts/use_package.py" "$work/source")
  (cd "$work/elsewhere" && "$work/venv/bin/sfv" --help >/dev/null)
  pip uninstall -qq --yes sfv-gym
  rm -rf "$work"/elsewhere/*
done
