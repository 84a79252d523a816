#!/usr/bin/env bash
# Checks and measures the GPU that is here, and ends within LIMIT_S seconds (470).
#
#   PEER="PYTHON_WITH_TORCH torch_gated_crnn.py" benchmarks/gpu.sh [FOLDER]
#
# The most valuable figures come first, each printed and written to FOLDER (default: a
# temporary one) as soon as it is there; at the end, which bars are met and what to do
# next. See benchmarks/plan.py. Where JAX sees no GPU the same runs at a tiny size.
# PEER: without it our side is measured alone.
# PYTHON: the interpreter; default: that of the project's .venv, or python3.
# WHEELS: a folder of wheels that the interpreter lacks and cannot fetch.
set -euo pipefail
folder=${1:+$(realpath -m "$1")}
wheels=${WHEELS:+$(realpath "$WHEELS")}
cd "$(dirname "$0")/.."
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    [[ -x .venv/bin/python ]] && PYTHON=.venv/bin/python
fi
if [[ -n $wheels ]]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$site" "$wheels"/*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
# one GPU, as the peer; and memory for it beside us
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
export XLA_PYTHON_CLIENT_PREALLOCATE=${XLA_PYTHON_CLIENT_PREALLOCATE:-false}
# what one item has compiled the next need not compile
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
exec "$PYTHON" -m benchmarks.plan --limit_s="$((${LIMIT_S:-470} - SECONDS))" \
    ${PEER:+--peer="$PEER"} ${folder:+--output="$folder"}
