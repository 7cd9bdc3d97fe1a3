"""Read and validate a program's answer, the untrusted file `outputs.safetensors`."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.formats import safetensors_header
from harness.formats.errors import Malformed

FILE = "outputs.safetensors"
TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "|b1",
}  # fmt: skip
"""Element types that an answer may have, in addition to BF16, and their NumPy types."""


class BadAnswer(Exception):
    """The program exited with 0 but its answer cannot be measured: the claim is ERROR."""


def read(folder: Path, names: Sequence[str]) -> list[np.ndarray]:
    """The answer's tensors in the order of `names`; BF16 as float32.

    Raises: BadAnswer in one line if the file is missing, not a safetensors file, or holds other tensors than `names`.
    """
    path = folder / FILE
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        raise BadAnswer(f"it wrote no {FILE}") from None
    if not stat.S_ISREG(mode):
        raise BadAnswer(f"its {FILE} is not a regular file")
    try:
        header = safetensors_header.read(path)
    except Malformed as problem:
        raise BadAnswer(str(problem).replace(str(path), FILE)) from None
    found = {tensor.name: tensor for tensor in header.tensors}
    if set(found) != set(names):
        held = ", ".join(sorted(found)[:6])[:200] or "no tensor"
        raise BadAnswer(f"its {FILE} holds {held}; expected {', '.join(names)}")
    return [_array(path, header.data_offset, found[name]) for name in names]


def _array(path: Path, offset: int, tensor: safetensors_header.SafeTensor) -> np.ndarray:
    kind = "<u2" if tensor.type == "BF16" else TYPES.get(tensor.type)
    if kind is None:
        raise BadAnswer(f"its `{tensor.name}` is {tensor.type}; expected one of {', '.join([*TYPES, 'BF16'])}")
    with path.open("rb") as stream:
        stream.seek(offset + tensor.begin)
        raw = stream.read(tensor.end - tensor.begin)
    array = np.frombuffer(bytearray(raw), kind).reshape(tensor.shape)
    if tensor.type == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
