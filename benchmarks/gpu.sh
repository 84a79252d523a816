#!/usr/bin/env bash
# All checks and measurements of the GPU that is here, in one call of under 8 minutes.
#
#   PEER="PYTHON_WITH_TORCH torch_gated_crnn.py" benchmarks/gpu.sh [FOLDER]
#
# Prints tables and writes their figures to FOLDER (default: benchmarks/results/gpu).
# Without PEER our side is measured alone. Where JAX sees no GPU the same runs at a tiny
# size, to see that it works; its figures then go to a temporary folder.
# PYTHON: the interpreter; default: that of the project's .venv, or python3.
set -euo pipefail
folder=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/.."
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    [[ -x .venv/bin/python ]] && PYTHON=.venv/bin/python
fi
LIMIT_S=${LIMIT_S:-470}
# one GPU, as the peer; and memory for it beside us
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
export XLA_PYTHON_CLIENT_PREALLOCATE=${XLA_PYTHON_CLIENT_PREALLOCATE:-false}

backend=$("$PYTHON" -c 'import jax; print(jax.default_backend())')
if [[ $backend == cpu ]]; then
    echo "JAX sees no GPU: a tiny size, to see that this script works"
    export GCRNN_RESULTS=${folder:-$(mktemp -d)}
    batch=4 few=2 small="--filters=4 --steps=2 --rounds=2" size=256 clips=60
    peer_flags=()
else
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
    export GCRNN_RESULTS=${folder:-benchmarks/results/gpu}
    batch=256 few=32 small="--steps=20" size=8192 clips=5000
    peer_flags=(--compile)
fi
[[ -n ${PEER:-} ]] && peer_flags+=(--peer "$PEER")
"$PYTHON" -c 'import jax; print("jax", jax.__version__, jax.devices())'

failed=()
run() {  # a module of benchmarks/ and its flags, in what is left of the time
    local left=$((LIMIT_S - SECONDS))
    echo "--- $* (at ${SECONDS} s)"
    if ((left < 5)) || ! timeout "$left" "$PYTHON" -m "benchmarks.$1" "${@:2}"; then
        failed+=("$1")
        echo "failed, or out of time: $*"
    fi
}

# shellcheck disable=SC2086  # $small is several words
{
    run checks --batch=4 --filters=16
    run ceilings --dtype=bfloat16 --batch=$batch --size=$size $small
    run step --dtype=bfloat16 --batch=$batch $small "${peer_flags[@]}"
    run loading --dtype=bfloat16 --batch=$batch --clips=$clips $small
    for unroll in 4 16; do
        run step --dtype=bfloat16 --batch=$batch --unroll=$unroll $small
    done
    run ceilings --batch=$batch --size=$size $small
    run step --task=at --dtype=bfloat16 --batch=$batch $small
    run step --dtype=bfloat16 --batch=$few $small
}
echo "done after ${SECONDS} s; figures in $GCRNN_RESULTS"
if ((${#failed[@]})); then
    echo "failed, or out of time: ${failed[*]}"
    exit 1
fi
