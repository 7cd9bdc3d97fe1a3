"""Three ops and a Llama or Qwen2 model as an external program, with NumPy and safetensors.

    harness run builtin:ops -k swiglu --candidate "exec:python examples/exec_python/program.py"
    harness run builtin:model -k DECODER-LOGITS --candidate "exec:python examples/exec_python/program.py"

Harness calls `python program.py FOLDER`. The program reads FOLDER/request.json and FOLDER/inputs.safetensors and writes
FOLDER/outputs.safetensors. It exits with 77 for a call that it does not offer. docs/exec.md describes the files.
"""

import json
import sys
from pathlib import Path

import ml_dtypes  # noqa: F401  (gives NumPy the bfloat16 type that safetensors asks for)
import numpy as np
from decoder import logits
from safetensors.numpy import load_file, save_file

UNSUPPORTED = 77


def rmsnorm(x, weight, eps=1e-6):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def swiglu(gate, up):
    # -abs, because exp of a large positive number overflows: exp(100) is infinite in float32.
    small = np.exp(-np.abs(gate))
    return gate * np.where(gate >= 0, 1, small) / (1 + small) * up


OPS = {"rmsnorm": rmsnorm, "softmax": softmax, "swiglu": swiglu}


def wide(array):
    """Ids and float64 unchanged; other floating-point arrays as float32."""
    return array if array.dtype.kind in "iub" or array.dtype == np.float64 else array.astype(np.float32)


def main(folder):
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    tensors = {name: wide(array) for name, array in load_file(folder / "inputs.safetensors").items()}
    with np.errstate(all="ignore"):
        if request["call"] in OPS:
            given = request["arguments"].items()
            out = OPS[request["call"]](**{name: tensors.get(name, value) for name, value in given})
        elif request["call"] == "logits":
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            weights = {name: wide(array) for name, array in load_file(folder / "model.safetensors").items()}
            out = logits(config, weights, tensors["tokens"])
        else:
            print(f"here are {', '.join(OPS)} and logits", file=sys.stderr)
            return UNSUPPORTED
        out = np.ascontiguousarray(out.astype(np.dtype(request["dtype"])))
    save_file({"out": out}, folder / "outputs.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[-1])))
