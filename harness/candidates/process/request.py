"""Writing a request: `request.json` and `inputs.safetensors` in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

PROTOCOL = 1


class NotAsked(Exception):
    """The claim asks for what cannot be asked of a program, or what this one does not have: UNVERIFIED."""

    unsupported = True


def write(folder: Path, call: str, arguments: Mapping[str, Any], *, dtype: str, device: str) -> None:
    """Both files of one call; arrays are tensors of their argument's name, anything else is JSON.

    Raises: NotAsked for an argument that is neither.
    """
    tensors = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    values = {name: {"tensor": name} if name in tensors else _plain(name, v) for name, v in arguments.items()}
    request = {"protocol": PROTOCOL, "call": call, "dtype": dtype, "device": device, "arguments": values}
    (folder / "request.json").write_text(json.dumps(request, separators=(",", ":")), encoding="utf-8")
    write_tensors(folder / "inputs.safetensors", tensors, dtype)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], dtype: str) -> None:
    """A safetensors file; in a bfloat16 case the float32 arrays, which hold bfloat16 values, are BF16."""
    import ml_dtypes
    from safetensors.numpy import save_file

    def held(array: np.ndarray) -> np.ndarray:
        narrow = dtype == "bfloat16" and array.dtype == np.float32
        return np.asarray(array.astype(ml_dtypes.bfloat16) if narrow else array, order="C")

    save_file({name: held(array) for name, array in tensors.items()}, path)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise NotAsked(f"a program cannot be handed `{name}`, a {type(value).__name__} ({value!r})"[:200]) from None
    return value
