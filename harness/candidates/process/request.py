"""Write a request: `request.json` and `inputs.safetensors` in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

PROTOCOL = 1


class NotInProtocol(Exception):
    """The claim needs a call or an argument that the exec protocol does not have: the claim is UNVERIFIED."""

    unsupported = True


def write(folder: Path, call: str, arguments: Mapping[str, Any], *, dtype: str, device: str) -> None:
    """Write both files of one call: arrays as tensors named after their argument, other values as JSON.

    Raises: NotInProtocol for an argument that is neither.
    """
    tensors = {name: value for name, value in arguments.items() if isinstance(value, np.ndarray)}
    values = {name: {"tensor": name} if name in tensors else _plain(name, v) for name, v in arguments.items()}
    request = {"protocol": PROTOCOL, "call": call, "dtype": dtype, "device": device, "arguments": values}
    (folder / "request.json").write_text(json.dumps(request, separators=(",", ":")), encoding="utf-8")
    write_tensors(folder / "inputs.safetensors", tensors, dtype)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], dtype: str) -> None:
    """Write a safetensors file; in a bfloat16 case, float32 arrays (which hold bfloat16 values) become BF16."""
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
        found = f"a {type(value).__name__} ({value!r})"
        raise NotInProtocol(f"the exec protocol cannot pass `{name}`, {found}"[:200]) from None
    return value
