#!/usr/bin/env bash
# All checks and measurements of the GPU that is here, in one call of under 8 minutes.
#
#   PEER="PYTHON_WITH_TORCH torch_gated_crnn.py" benchmarks/gpu.sh [FOLDER]
#
# Prints tables and writes their figures to FOLDER (default: benchmarks/results/gpu).
# Without PEER our side is measured alone. Without a GPU the same runs at a tiny size,
# to see that it works; its figures then go to a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
LIMIT_S=${LIMIT_S:-420}  # what has not begun by then is left out

if [[ $($PYTHON -c 'import jax; print(jax.default_backend())') == cpu ]]; then
    echo "no GPU: a tiny size, to see that this script works"
    export GCRNN_RESULTS=${1:-$(mktemp -d)}
    batch=4 few=2 small="--filters=4 --steps=2 --rounds=2" size=256 clips=60
    peer_flags=() amp_flags=()
else
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv || true
    export GCRNN_RESULTS=${1:-benchmarks/results/gpu}
    batch=256 few=32 small="--steps=20" size=8192 clips=5000
    peer_flags=() amp_flags=(--compile)
fi
if [[ -n ${PEER:-} ]]; then
    peer_flags+=(--peer "$PEER")
fi
$PYTHON -c 'import jax, jaxlib; print("jax", jax.__version__, jax.devices())'

failed=()
run() {  # a module of benchmarks/ and its flags
    if ((SECONDS > LIMIT_S)); then
        echo "left out, after ${SECONDS} s: $*"
        return
    fi
    echo "--- $* (at ${SECONDS} s)"
    $PYTHON -m "benchmarks.$1" "${@:2}" || failed+=("$1")
}

# shellcheck disable=SC2086  # $small is several words
{
    run checks --batch=4 --filters=16
    run ceilings --dtype=bfloat16 --batch=$batch --size=$size $small
    run step --dtype=bfloat16 --batch=$batch $small "${peer_flags[@]}" "${amp_flags[@]}"
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
    echo "failed: ${failed[*]}"
    exit 1
fi
