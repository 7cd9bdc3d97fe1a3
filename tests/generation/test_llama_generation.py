"""Generation by llama.cpp: what tells a special-token bug from drift, and the detectors of loops and broken code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.case import Case
from harness.falsifiers.baselines.gguf import package
from harness.falsifiers.generation import llama_cpp
from harness.falsifiers.generation.llama_cpp import parses, repeats, wilson
from harness.falsifiers.generation.mutants import llama_cpp as wrong
from harness.models.stdlib_qwen2 import build
from harness.mutant import mutants_of
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from harness.words.narrative import failure_lines


def seen(subject: Any) -> dict[str, Any]:
    """What the chat form's claim sees of an exporter, on six functions."""
    boundary = Boundary(subject, role="candidate", dtype="float32", device="cpu", trace=Trace())
    found = llama_cpp.memorised(
        boundary,
        Case(dtype="float32"),
        weights=str(build()),
        functions="harness.models.functions",
        corpus="harness.models.corpus:split",
        form="chat",
        count=6,
        short=8,
        long=128,
    )
    return dict(found.scalars)


def test_a_file_that_is_right_answers_as_the_reference_and_nothing_more_is_tried() -> None:
    found = seen(package)
    assert found["agreed_long"] == 1
    assert "agreed_given_ids" not in found


def test_split_special_tokens_and_drift_are_told_apart() -> None:
    split, drift = (seen(mutants_of(wrong)[n](package)) for n in ("special_tokens_normal", "biases_dropped"))
    assert split["agreed_long"] < 1
    assert split["prompts_cut_otherwise"] == 6
    assert split["agreed_given_ids"] == split["agreed_unwrapped"] == 1
    assert drift["prompts_cut_otherwise"] == 0
    assert drift["agreed_given_ids"] < 1


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ([1, 2, 3, 4] * 3, True),
        ([9, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], True),
        ([1, 2, 3, 4] * 2, False),
        ([1, 2, 3] * 3, False),
        ([7] * 12, True),
        ([], False),
    ],
)
def test_a_fragment_three_times_in_a_row_is_a_loop(row: list[int], found: bool) -> None:
    assert repeats(np.array(row)) is found


def test_code_that_is_none_does_not_parse() -> None:
    assert parses("def f(x):\n    return x\n")
    assert not any(parses(text) for text in ("", "\n", "def f(x:", "return return", "x = \0"))


def test_the_interval_is_wilsons() -> None:
    """Figures of Newcombe, Statistics in Medicine 17 (1998), 857-872, table I: 81 of 263 and 15 of 148."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(30, 30) == pytest.approx((0.8865, 1), abs=1e-4)
    assert wilson(0, 30) == pytest.approx((0, 1 - 0.8865), abs=1e-4)


def test_the_predictions_are_written_where_the_failure_is_told() -> None:
    scalars = [{"case": i, "name": n, "value": float(v)} for i in (0, 1) for n, v in (("seen", 0), ("tried", i))]
    result = {
        "verdict": "FALSIFIED",
        "reason": "seen ge 1: seen = 0",
        "first_divergent_stage": None,
        "if_fails": "",
        "measurements": {"seen": {"float32": 0.0}},
        "record": {"subjects": {"candidate": {"scalars": scalars}}},
    }
    assert "  beside    tried 0 1" in failure_lines("FALSIFY-X-001", "x", result, "e")
    result["record"]["subjects"]["candidate"]["scalars"] = []
    assert not any("beside" in line for line in failure_lines("FALSIFY-X-001", "x", result, "e"))
