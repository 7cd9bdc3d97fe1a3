"""Read plain YAML scalars by the core schema of YAML 1.2 (yaml.org/spec/1.2.2, section 10.3.2).

PyYAML follows YAML 1.1, where 1e-5 is text, `no` is false, 1:30 is 90 and 017 is 15.
"""

from __future__ import annotations

import re

Scalar = None | bool | int | float | str

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = frozenset({".nan", ".NaN", ".NAN"})
_FIRST = frozenset("-+.0123456789")
_BASES = {"0o": 8, "0x": 16}


def read_scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar.

    Raises: ValueError for an integer beyond 64 bits, because JSON readers may round it.
    """
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in _FIRST:
        return text
    if _INT.fullmatch(text):
        return _read_int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INF.fullmatch(text):
        return float(infinite[1] + "inf")
    return float("nan") if text in _NAN else text


def _read_int(text: str) -> int:
    # int() raises an error for thousands of digits, so the length is checked first.
    value = int(text[2:], _BASES[text[:2]]) if text[:2] in _BASES else int(text) if len(text) < 40 else 1 << 64
    if abs(value) >= 1 << 63:
        raise ValueError(f"found the integer {text[:24]}..., expected one that fits in 64 bits; write it as a float")
    return value
