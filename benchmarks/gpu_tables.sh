#!/usr/bin/env bash
# The paper's tables at full width on a machine with a GPU, in calls of 9 minutes.
#
#   benchmarks/gpu_tables.sh [FOLDER] [flags of benchmarks/gpu_tables.py]
#
# The same call again goes on. FOLDER (default: runs/gpu_tables) is seen from the
# project's folder, and the same one in every call; features and trainings stay in it.
# Where it is gone, as on a machine that is lent anew, a call goes on from what an
# earlier one kept: it writes FOLDER/kept, or KEEP, a few files of 15 MiB and 40 MiB
# together at most, and the tables; bring these back, lay them where the next machine
# finds them, and name that as KEPT. They hold the scores of every row that is done, and
# as many of the other trainings as there is room for; features are made anew.
# PYTHON: the interpreter; default: that of the project's .venv, or python3.
# WHEELS: a folder of wheels that the interpreter lacks and cannot fetch.
set -euo pipefail
wheels=${WHEELS:+$(realpath "$WHEELS")}
keep=${KEEP:+$(realpath -m "$KEEP")}
kept=${KEPT:+$(realpath "$KEPT")}
cd "$(dirname "$0")/.."
folder=runs/gpu_tables
if [[ ${1:-} == [^-]* ]]; then
    folder=$1
    shift
fi
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    [[ -x .venv/bin/python ]] && PYTHON=.venv/bin/python
fi
if [[ -n $wheels ]]; then
    site=$(mktemp -d)
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$site" "$wheels"/*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
export GCRNN_CACHE=${GCRNN_CACHE:-$folder/cache} # features, and what is compiled
exec "$PYTHON" -m benchmarks.gpu_tables --output="$folder" --keep="${keep:-$folder/kept}" \
    ${kept:+--kept="$kept"} --config.training.evaluate_every=10 "$@"
