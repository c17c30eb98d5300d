#!/usr/bin/env bash
# Writes the lock files: versions and hashes of everything, for every supported Python.
set -euo pipefail
cd "$(dirname "$0")"
uv=$(command -v uv || echo .venv-uv/bin/uv)
common=(--quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate)
inputs=({libs,taps,loaders}/*/pyproject.toml {sandbox,reconcile,orchestrate}/pyproject.toml)
members=()
for name in $(sed -n 's/^name = "\(.*\)"/\1/p' "${inputs[@]}"); do
  members+=(--no-emit-package "$name")
done
"$uv" pip compile "${common[@]}" "${members[@]}" --group dev pyproject.toml "${inputs[@]}" \
  --output-file requirements.lock "$@"
# What the image holds: no stand-ins, no tests, the same versions.
"$uv" pip compile "${common[@]}" "${members[@]}" --constraint requirements.lock pyproject.toml \
  {libs,taps,loaders}/*/pyproject.toml orchestrate/pyproject.toml \
  --output-file orchestrate/image/requirements.lock "$@"
echo hatchling | "$uv" pip compile "${common[@]}" --constraint requirements.lock - \
  --output-file orchestrate/image/build.lock "$@"
for input in tests/interop/requirements.in bench/peers/requirements-*.in; do
  "$uv" pip compile "${common[@]}" "$input" --output-file "${input%.in}.lock" "$@"
done
