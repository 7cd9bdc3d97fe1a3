"""`make test` runs a sample of what takes minutes; what it leaves out is run by `make trust`, and is still there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.sample import kinds_first
from tests.support.repository import ROOT

CASES = 4


@pytest.mark.sample(2)
@pytest.mark.parametrize("number", range(CASES))
def test_marked(number: int) -> None:
    assert number in range(CASES)


def test_one_of_each_kind_comes_first_and_none_is_lost() -> None:
    assert kinds_first(["a1", "a2", "b1", "a3", "c1", "b2"], lambda name: name[0]) == (
        ["a1", "b1", "c1", "a2", "a3", "b2"],
        3,
    )


def collected(*words: str) -> list[str]:
    """Parameters of the test above that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=--strict-markers", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line.partition("[")[2].rstrip("]") for line in done.stdout.splitlines() if "test_marked[" in line]


def test_the_first_are_the_sample_and_whole_or_a_name_brings_the_rest() -> None:
    here = "tests/house/test_sample.py"
    assert collected(here) == ["0", "1"]
    assert collected(here, "--whole") == ["0", "1", "2", "3"]
    assert collected(f"{here}::test_marked[3]") == ["3"]
