"""What passes between a claim's process and the process that holds an isolated candidate.

The claim's process pickles what it asks: the other side may trust it. What comes back is JSON and raw arrays, because
whoever unpickles bytes runs what they say.
"""

from __future__ import annotations

import collections
import io
import json
import keyword
import math
import pickle
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

HEAD = struct.Struct("<Q")
"""Units: bytes of the JSON text that follows; the arrays' bytes follow that."""
KINDS = "biufc"
"""Kinds of NumPy dtypes that may come back."""

Value = Any
Handle = Callable[[Any], int]
"""The number under which an object stays with the candidate."""


class Malformed(ValueError):
    """Bytes that are no answer; the line says what is wrong with them."""


def ask(question: Any, number: Callable[[Any], int | None]) -> bytes:
    """Pickle a question; an object that has a number passes as this number.

    Raises: what pickle raises for an object that it refuses.
    """
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5)
    pickler.persistent_id = number  # type: ignore[method-assign]
    pickler.dump(question)
    return out.getvalue()


def asked(content: bytes, held: Callable[[int], Any]) -> Any:
    """Read a question; `held` gives the object of a number. Raises: whatever an import of what it names raises."""
    unpickler = pickle.Unpickler(io.BytesIO(content))
    unpickler.persistent_load = held  # type: ignore[method-assign]
    return unpickler.load()


def encode(value: Value, handle: Handle) -> bytes:
    """An answer as bytes: None, bool, int, float, str, bytes, arrays, and lists, tuples and dicts of them.

    Every other object stays where it is and passes as its number.
    """
    buffers: list[bytes] = []
    head = json.dumps(_tree(value, handle, buffers)).encode("ascii")
    return b"".join([HEAD.pack(len(head)), head, *buffers])


def decode(content: bytes, remote: Callable[[int], Any]) -> Value:
    """The value of an answer; `remote` stands for an object that stayed. Nothing of the bytes is executed.

    Raises: Malformed.
    """
    try:
        (length,) = HEAD.unpack_from(content)
        body = memoryview(content)[HEAD.size + length :]
        tree = json.loads(content[HEAD.size : HEAD.size + length])
        return _value(tree, body, remote)
    except Malformed:
        raise
    except (ValueError, TypeError, KeyError, IndexError, struct.error, RecursionError) as problem:
        raise Malformed(f"{type(problem).__name__}: {problem}"[:200]) from None


def _tree(value: Value, handle: Handle, buffers: list[bytes]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return {"bytes": _keep(value, buffers), "size": len(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in KINDS:
        place = _keep(np.ascontiguousarray(value).tobytes(), buffers)
        return {"array": place, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, dict):
        return {"dict": [[_tree(k, handle, buffers), _tree(v, handle, buffers)] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_tree(item, handle, buffers) for item in value]
        if hasattr(value, "_fields"):
            return {"named": items, "name": type(value).__name__, "fields": list(value._fields)}
        return {"tuple": items} if isinstance(value, tuple) else items
    return {"object": handle(value)}


def _keep(content: bytes, buffers: list[bytes]) -> int:
    place = sum(map(len, buffers))
    buffers.append(content)
    return place


def _value(tree: Any, body: memoryview, remote: Callable[[int], Any]) -> Value:
    if isinstance(tree, list):
        return [_value(item, body, remote) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "bytes" in tree:
        return bytes(_cut(body, tree["bytes"], tree["size"]))
    if "array" in tree:
        return _array(tree, body)
    if "dict" in tree:
        return {_key(_value(k, body, remote)): _value(v, body, remote) for k, v in tree["dict"]}
    if "tuple" in tree:
        return tuple(_value(item, body, remote) for item in tree["tuple"])
    if "named" in tree:
        return _named(tree)(*[_value(item, body, remote) for item in tree["named"]])
    return remote(int(tree["object"]))


def _array(tree: Any, body: memoryview) -> np.ndarray:
    dtype, shape = np.dtype(str(tree["dtype"])), tuple(int(n) for n in tree["shape"])
    if dtype.kind not in KINDS or any(n < 0 for n in shape):
        raise Malformed(f"an array of dtype {dtype} and shape {shape}")
    content = _cut(body, tree["array"], math.prod(shape) * dtype.itemsize)
    return np.frombuffer(content, dtype).reshape(shape).copy()


def _named(tree: Any) -> Any:
    """The type of a named tuple, made again from its names."""
    name, fields = str(tree["name"]), [str(field) for field in tree["fields"]]
    plain = all(each.isidentifier() and not keyword.iskeyword(each) for each in [name, *fields])
    if not plain:
        raise Malformed(f"a named tuple {name!r} of {fields}")
    return collections.namedtuple(name, fields)  # noqa: PYI024  (its fields are known only now)


def _cut(body: memoryview, place: Any, size: Any) -> memoryview:
    start, length = int(place), int(size)
    if not 0 <= start <= start + length <= len(body):
        raise Malformed(f"bytes {start} to {start + length} of {len(body)}")
    return body[start : start + length]


def _key(key: Any) -> Any:
    hash(key)  # raises a TypeError for a list, which is no key
    return key
