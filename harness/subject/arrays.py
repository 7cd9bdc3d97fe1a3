"""Arrays and tensors on the host: their NumPy form, and whether two have the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same dtype, shape and bytes (NaN payloads included)."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def plain(value: Any) -> np.ndarray:
    """Convert any array or tensor to NumPy on the host, bfloat16 to float32; copies only if it must."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    tensor = value.detach().cpu()
    return np.asarray((tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy())
