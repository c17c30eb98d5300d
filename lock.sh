#!/usr/bin/env bash
# Writes the lock files: versions and hashes of everything, for every supported Python.
set -euo pipefail
cd "$(dirname "$0")"
uv=$(command -v uv || echo .venv-uv/bin/uv)
common=(--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate)
members=()
for name in $(sed -n 's/^name = "\(.*\)"/\1/p' {libs,taps,loaders}/*/pyproject.toml sandbox/pyproject.toml); do
  members+=(--no-emit-package "$name")
done
"$uv" pip compile "${common[@]}" "${members[@]}" --group dev pyproject.toml \
  libs/*/pyproject.toml taps/*/pyproject.toml loaders/*/pyproject.toml sandbox/pyproject.toml \
  --output-file requirements.lock "$@"
for input in tests/interop/requirements.in bench/peers/requirements-*.in; do
  "$uv" pip compile "${common[@]}" "$input" --output-file "${input%.in}.lock" "$@"
done
