"""What an isolated candidate answers crosses as JSON and raw arrays: unchanged if it is right, refused if it is not."""

from __future__ import annotations

import contextlib
import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.errors import UserError
from harness.subject.boundary import Unsupported
from harness.subject.isolation import wire
from harness.subject.isolation.failure import again, told


class Pair(NamedTuple):
    loss: Any
    grads: Any


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_, np.complex64]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
VALUES = st.recursive(
    PLAIN | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    if isinstance(one, (list, tuple)):
        alike = getattr(one, "_fields", None) == getattr(other, "_fields", None)
        return alike and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and (one == other or one != one)


def none_held(value: Any) -> int:
    raise TypeError(type(value).__name__)


def no_object(number: int) -> Any:
    raise wire.Malformed(f"object {number}")


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert same(value, wire.decode(wire.encode(value, none_held), no_object))


@given(VALUES, st.data())
@settings(max_examples=300)
def test_damaged_bytes_are_refused_or_are_another_value(value: Any, data: st.DataObject) -> None:
    content = bytearray(wire.encode(value, none_held))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(wire.Malformed):
        wire.decode(cut, no_object)


def packed(tree: Any, body: bytes = b"") -> bytes:
    head = json.dumps(tree).encode()
    return wire.HEAD.pack(len(head)) + head + body


@pytest.mark.parametrize(
    "tree",
    [
        {"array": 0, "dtype": "|O", "shape": [1]},
        {"array": 0, "dtype": "<f4", "shape": [-1]},
        {"array": 0, "dtype": "<f4", "shape": [1 << 62, 8]},
        {"array": -4, "dtype": "<f4", "shape": [1]},
        {"array": 6, "dtype": "<f4", "shape": [1]},
        {"bytes": 0, "size": -1},
        {"named": [1], "name": "P", "fields": ["a b"]},
        {"named": [1], "name": "class", "fields": ["a"]},
        {"named": [1, 2], "name": "P", "fields": ["a"]},
        {"named": [1], "name": "P", "fields": ["_a"]},
        {"dict": [[[1], 2]]},
        {"dict": 3},
        {"object": "x"},
        {},
    ],
)
def test_what_is_no_answer_is_refused(tree: Any) -> None:
    with pytest.raises(wire.Malformed):
        wire.decode(packed(tree, bytes(8)), no_object)


def test_an_answer_that_nests_without_end_is_refused() -> None:
    content = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(wire.Malformed):
        wire.decode(wire.HEAD.pack(len(content)) + content, no_object)


class Own(ValueError):
    pass


@pytest.mark.parametrize(
    ("problem", "kind", "text"),
    [
        (Own("mine"), ValueError, "mine"),
        (KeyError("eps"), KeyError, "'eps'"),
        (MemoryError("no room"), MemoryError, "no room"),
        (OSError(28, "full"), OSError, "[Errno 28] full"),
        (ModuleNotFoundError("No module named 'x'", name="x"), ModuleNotFoundError, "No module named 'x'"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"), ValueError, "'utf-8' codec can't decode byte 0xff"),
        (UserError("one line"), UserError, "one line"),
        (Unsupported("no op"), Unsupported, "no op"),
        (SystemError("s"), SystemError, "s"),
    ],
)
def test_an_exception_is_raised_again_as_it_was(problem: Exception, kind: type[Exception], text: str) -> None:
    back = again(json.loads(json.dumps(told(problem))))
    assert isinstance(back, kind)
    assert type(back).__name__ == type(problem).__name__
    assert str(back).startswith(text)
    assert getattr(back, "errno", None) == getattr(problem, "errno", None)
    assert getattr(back, "name", None) == getattr(problem, "name", None)


@pytest.mark.parametrize("about", [None, {}, [], {"types": 3}, {"types": ["__import__"], "text": 1}])
def test_an_exception_that_cannot_be_read_is_one_all_the_same(about: Any) -> None:
    assert type(again(about)) is RuntimeError
