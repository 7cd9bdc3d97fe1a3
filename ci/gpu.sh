#!/usr/bin/env bash
# Everything on a GPU machine without a network: install, run every part, keep its evidence, print one table.
#
#   ci/gpu.sh [WHEELHOUSE] [OUT] [--quick] [--device D] [--only NAMES] [--parts FILE]
#
# The same command goes on where it stopped. PYTHON names the Python with torch, DEVICE the device. See docs/cuda.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$(command -v python3 || true)}
device=${DEVICE:-auto} given=() rest=()
while [ $# -gt 0 ]; do
  case "$1" in
    --device) device=${2:?--device: expected a device}; shift ;;
    --quick) rest+=(--quick) ;;
    --only | --parts) rest+=("$1" "${2:?$1: expected a value}"); shift ;;
    -*) echo "gpu.sh: $1: unknown option; expected --quick, --device D, --only NAMES or --parts FILE" >&2; exit 2 ;;
    *) given+=("$1") ;;
  esac
  shift
done
wheelhouse=$(realpath -m "${given[0]:-$root/wheelhouse}") out=$(realpath -m "${given[1]:-$root/gpu-out}")
fail() { echo "gpu.sh: $1" >&2; exit 2; }
[ -n "$python" ] || fail "no python3 on the PATH; set PYTHON to the Python that has torch"
compgen -G "$wheelhouse/harness-*.whl" > /dev/null || fail "$wheelhouse: no harness-*.whl there; run make wheelhouse"
"$python" "$root/ci/gpu_fit.py" || exit 2

# No registry is asked: pip reads no configuration, and looks into the wheelhouse only.
while read -r name; do unset "$name"; done < <(env | grep -o '^PIP_[A-Z_]*' || true)
export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheelhouse PIP_DISABLE_PIP_VERSION_CHECK=1
venv=$out/venv
if [ ! -f "$venv/.ready" ]; then
  # Without its own pip, which some systems lack; the machine's pip installs into it.
  "$python" -m venv --clear --system-site-packages --without-pip "$venv" || fail "$python -m venv failed; set PYTHON"
  "$python" "$root/ci/gpu_fit.py" --share "$venv/bin/python"
  # A harness that this machine has already is left where it is; the wheelhouse's comes first on the path.
  "$venv/bin/python" -m pip install --quiet --no-deps --force-reinstall "$wheelhouse"/harness-*.whl
  "$venv/bin/python" -m pip install --quiet harness || fail "pip found no wheel of what is missing; see docs/cuda.md"
  for extra in peft gguf; do
    "$venv/bin/python" -m pip install --quiet "$extra" 2> /dev/null ||
      echo "gpu.sh: $extra: not in $wheelhouse and not on this machine; claims that need it are UNVERIFIED"
  done
  touch "$venv/.ready"
fi
"$venv/bin/python" -P "$root/ci/gpu_fit.py" --installed
exec "$venv/bin/python" "$root/ci/gpu_run.py" "$out" --wheelhouse "$wheelhouse" --device "$device" "${rest[@]}"
