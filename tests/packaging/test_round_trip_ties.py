"""Between two codes of Q4_0 a packer may take either; any other number differs."""

import numpy as np

from harness.falsifiers.packaging.gguf import _kept, _same_numbers
from harness.reference.ops.quantization import steps

W = np.array([[-8.0, 3.5, 3.4, *range(-7, 8), *([1.0] * 14)]], np.float32)
"""The step of the block is 1, so 3.5 is a tie between two codes and 3.4 is none."""


def same(**changed: float) -> list[bool]:
    found = _kept("w", W, "Q4_0").copy()
    for place, value in changed.items():
        found[0, int(place[1:])] = value
    return _same_numbers("w", W, found, "Q4_0")[0].tolist()


def test_both_codes_beside_a_tie_are_the_weight():
    assert steps(W, "Q4_0")[0, 0] == 1.0
    assert all(same(_1=3.0))
    assert all(same(_1=4.0))


def test_another_code_or_the_unpacked_number_is_not():
    for place, value in (("_1", 5.0), ("_1", 2.0), ("_1", 3.5), ("_2", 4.0), ("_2", 3.4), ("_0", -7.0)):
        assert same(**{place: value}).count(False) == 1, (place, value)
