"""Cases follow from id, given, explore, examples and seed, corners first; shrinking ends at the simplest that fails."""

import importlib
import itertools
import sys

import pytest

from harness.contract.cases import corners, plan
from harness.contract.claim import Claim
from harness.contract.selection import selector
from harness.errors import UserError
from harness.trial.shrink import shrink

EXPLORE = {
    "rows": {"boundary": [1, 129]},
    "std": {"choices": [0.02, 1.0, 300.0]},
    "eps": {"log_uniform": [1e-6, 1e-3]},
    "dtype": {"choices": ["float32", "bfloat16"]},
}


def claim(explore=None, examples=40, **extra):
    source = {"id": "FALSIFY-X-001", "explore": EXPLORE if explore is None else explore, "examples": examples, **extra}
    return Claim("x", "x.yaml", 1, source)


def test_the_same_claim_and_seed_give_the_same_cases_and_another_seed_others():
    assert plan(claim(), 0) == plan(claim(), 0)
    assert plan(claim(), 0) != plan(claim(), 1)
    assert plan(claim(), 0)[0].seed != plan(claim(id="FALSIFY-X-002"), 0)[0].seed
    assert plan(claim(), 0)[0].seed != plan(claim(given={"hidden": 7}), 0)[0].seed


def test_other_words_and_limits_keep_the_cases():
    reworded = claim(rule="other", accept={"rel_l2_err": {"le": 1, "why": "better words"}}, discharges_on=["cuda"])
    assert reworded.digest != claim().digest
    assert plan(reworded, 0) == plan(claim(), 0)


def test_no_module_that_happens_to_be_loaded_changes_the_cases(tmp_path, monkeypatch):
    """Hypothesis draws numbers that stand in the user's modules, and writes them to a folder `.hypothesis`."""
    explore = {"rows": {"boundary": [1, 100_000]}, "std": {"uniform": [0.0, 1e6]}}
    monkeypatch.chdir(tmp_path)
    before = plan(claim(explore, examples=100), 0)
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {list(range(1000, 5000, 7))}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "full_of_numbers", importlib.import_module("full_of_numbers"))
    assert plan(claim(explore, examples=100), 0) == before
    assert not (tmp_path / ".hypothesis").exists()


def test_corners_come_first_and_meet_pairwise():
    values = {"rows": [1, 129], "std": [0.02, 1.0, 300.0], "eps": [1e-6, 1e-3], "dtype": ["float32", "bfloat16"]}
    found = corners(EXPLORE)
    for a, b in itertools.combinations(values, 2):
        assert {(c[a], c[b]) for c in found} == set(itertools.product(values[a], values[b]))
    assert len(found) < 12
    cases = plan(claim(), 0)
    assert [{**c.params, "dtype": c.dtype} for c in cases[: len(found)]] == found
    assert len(cases) == 40


def test_draws_stay_in_their_domains_and_reach_inside():
    cases = plan(claim(), 0)
    assert all(1 <= c.params["rows"] <= 129 and 1e-6 <= c.params["eps"] <= 1e-3 for c in cases)
    assert len({c.params["rows"] for c in cases}) > 10
    assert len({c.seed for c in cases}) == 40


def test_all_corners_run_even_when_examples_is_smaller():
    assert len(plan(claim(examples=1), 0)) == len(corners(EXPLORE))


def test_a_small_space_repeats_with_other_seeds():
    cases = plan(claim({"n": {"choices": [1, 2]}}, examples=6), 0)
    assert len(cases) == 6
    assert len({c.seed for c in cases}) == 6


def test_without_explore_there_is_one_case():
    assert len(plan(claim({}), 0)) == 1


def test_shrinking_finds_the_simplest_violation_and_keeps_seed_and_index():
    cases = plan(claim(), 0)
    start = next(c for c in cases if c.params["rows"] > 60 and c.params["std"] == 300.0)
    least = shrink(claim(), 0, start, lambda c: c.params["rows"] >= 37 and c.params["std"] >= 1.0, 20.0)
    assert (least.params["rows"], least.params["std"], least.dtype) == (37, 1.0, "float32")
    assert (least.seed, least.index) == (start.seed, start.index)


def test_shrinking_without_budget_keeps_the_start():
    start = plan(claim(), 0)[3]
    assert shrink(claim(), 0, start, lambda c: True, 0.0) == start


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("softmax", True),
        ("SOFTMAX and eps", False),
        ("not rmsnorm and (state or norm)", True),
        ("rmsnorm or state-001", True),
        ("not softmax", False),
    ],
)
def test_selection(expression, expected):
    found = Claim("softmax-contract", "x.yaml", 1, {"id": "FALSIFY-NORM-STATE-001", "given": {"op": "softmax"}})
    assert selector(expression)(found) is expected


@pytest.mark.parametrize("expression", ["and", "a b", "(a", "a or", "not", "a )"])
def test_a_bad_selection_is_one_line(expression):
    with pytest.raises(UserError, match="-k "):
        selector(expression)


def test_every_edge_of_a_size_is_tried_and_options_still_meet_pairwise():
    explore = {
        "hidden": {"sizes": [1, 4097]},
        "std": {"choices": [0.02, 1.0, 300.0]},
        "rows": {"sizes": [1, 40]},
        "dtype": {"choices": ["float32", "bfloat16"]},
    }
    found = corners(explore)
    assert list(found[0]) == list(explore)
    around = {1, 2, 3, 5, 7, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129}
    around |= {257, 384, 513, 768, 1000, 1025, 2049, 4097}
    assert {row["hidden"] for row in found} == around | {40}
    assert {row["rows"] for row in found} == {1, 2, 3, 5, 7, 31, 32, 33, 40}
    assert {(row["std"], row["dtype"]) for row in found} == set(
        itertools.product([0.02, 1.0, 300.0], ["float32", "bfloat16"])
    )
    assert len(found) == len(around) + 2
    assert max(row["hidden"] * row["rows"] for row in found[:-2]) <= 4097 * 2, "a large size meets small ones"
    assert [(row["hidden"], row["rows"]) for row in found[-2:]] == [(4097, 40), (40, 40)]
    assert {size % 128 for size in around} >= {0, 1, 127}


def test_a_short_range_of_sizes_is_tried_whole_and_draws_reach_other_sizes():
    assert [row["group"] for row in corners({"group": {"sizes": [1, 8]}})] != []
    assert {row["group"] for row in corners({"group": {"sizes": [1, 8]}})} == set(range(1, 9))
    drawn = plan(claim({"hidden": {"sizes": [1, 4097]}}, examples=60), 0)[20:]
    assert {c.params["hidden"] for c in drawn} - {row["hidden"] for row in corners({"hidden": {"sizes": [1, 4097]}})}


def test_a_violation_at_one_size_shrinks_to_the_least_size_that_violates():
    found = claim({"rows": {"sizes": [1, 4097]}}, examples=1)
    start = next(c for c in plan(found, 0) if c.params["rows"] == 2049)
    assert shrink(found, 0, start, lambda c: c.params["rows"] > 100, 10.0).params == {"rows": 101}


def test_each_value_is_tried_once_and_the_values_of_choices_still_meet():
    explore = {
        "start": {"each": [0, 2047, 32_767]},
        "theta": {"choices": [1e4, 5e5]},
        "dtype": {"choices": ["float32", "bfloat16"]},
    }
    found = corners(explore)
    assert len(found) == 4
    assert {row["start"] for row in found} == {0, 2047, 32_767}
    assert len({(row["theta"], row["dtype"]) for row in found}) == 4
    assert {c.params["start"] for c in plan(claim(explore), 0)} == {0, 2047, 32_767}
