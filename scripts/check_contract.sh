#!/usr/bin/env bash
# Runs what others check environments with on ours: Gymnasium's own tests, the checkers of
# Stable-Baselines3 and TorchRL, Minari's recorder, Gymnasium's vector wrappers and RecordVideo.
#
#   scripts/check_contract.sh GYMNASIUM [--venv DIR] [--python PYTHON] [--ids ID,ID...]
#                             [--parts PART,PART...] [--logs DIR]
#
# GYMNASIUM: a checkout of Gymnasium, of the version that constraints.txt names. Its tests are run
#   where they lie, over our ids in place of Gymnasium's.
# --venv DIR: the virtual environment, made if it is not there (build/contract/venv); gigabytes.
# --python PYTHON: the interpreter that it is made with (python3)
# --ids: the environments; otherwise twelve, of both characters and every terrain
# --parts: what to run; otherwise everything: envs, rendering, sync_vector_env,
#   passive_env_checker, record_episode_statistics, time_aware_observation, record_video and
#   human_rendering, which are files of Gymnasium's tests; stable_baselines3, torchrl, minari,
#   vector_wrappers and videos
# --logs DIR: what pytest printed, a file for each part (build/contract/logs)
#
# One part at a time: a quarter of an hour on two idle cores. It prints a line for each part, with
# how many passed and failed, and a line for each that failed. Exit status: 0 when none failed,
# 1 when some did, 2 for a wrong argument.
set -euo pipefail
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }
wrong() { echo "check_contract.sh: $1; --help says more" >&2; exit 2; }

venv='' python=python3 gymnasium='' logs='' more=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --venv | --python | --ids | --parts | --logs)
      [ $# -ge 2 ] || wrong "$1 wants a value"
      case $1 in
        --venv) venv=$(realpath -ms "$2") ;;
        --python) python=$2 ;;
        --logs) logs=$(realpath -ms "$2") ;;
        *) more+=("$1" "$2") ;;
      esac
      shift 2 ;;
    -*) wrong "unknown option $1" ;;
    *)
      [ -z "$gymnasium" ] || wrong "one checkout of Gymnasium, not two"
      gymnasium=$(realpath -ms "$1")
      shift ;;
  esac
done
[ -n "$gymnasium" ] || wrong "it wants a checkout of Gymnasium"
[ -f "$gymnasium/tests/envs/test_envs.py" ] || wrong "$gymnasium has no tests/envs/test_envs.py"

cd "$(dirname "$0")/.."
venv=${venv:-$PWD/build/contract/venv}
logs=${logs:-$PWD/build/contract/logs}
unset PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip install -qq --prefer-binary --constraint constraints.txt "$@"; }
echo "installing into $venv"
# first and alone, so that nothing else picks another build of it
pip "$(grep '^torch==' constraints.txt)"
pip --editable '.[all]' pytest
# pygame-ce: the window of Gymnasium's HumanRendering
pip torchrl 'minari[create,hdf5]' moviepy pygame-ce
exec "$venv/bin/python" scripts/check_contract.py "$gymnasium" --logs "$logs" ${more[@]+"${more[@]}"}
