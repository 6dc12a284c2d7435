#!/usr/bin/env bash
# Is safelab right and fast on this GPU? No network, random weights; prints tables. See bench/gpu.py.
#
#     scripts/gpu_check.sh                        # a GPU is needed
#     scripts/gpu_check.sh --device cpu --tiny    # the same checks at a toy's size
set -eu
cd "$(dirname "$0")/.."
export HF_HUB_OFFLINE=1
exec "${PYTHON:-.venv/bin/python}" -m scripts.bench.gpu "$@"
