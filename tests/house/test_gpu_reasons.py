"""The reason of every ratio limit says what a GPU may do differently."""

import re
from collections.abc import Iterator

import pytest

from harness.contract.text.reader import load_yaml
from tests.support.repository import CONTRACTS

RATIOS = ("err_ratio", "worst_ratio", "worst_ratio_max")
GPU = re.compile(r"\bGPU\b[^;]*")
MEANS = re.compile(
    r"split-K|tensor cores|fuse multiply|trees?\b|exp2|rsqrt|reciprocal|atomics|online|fast exp"
    r"|its own (?:erf|tanh|expm1)|sine and cosine|rounds this one product just so|computes the same here"
)
"""The small vocabulary: an order of sums, a unit that adds, or a function that is approximate."""


def lacking(claims: list[dict]) -> Iterator[str]:
    """The ratio limits whose reason does not say it, as `claim: measurement`."""
    for claim in claims:
        for measure, limit in limits(claim.get("accept", {})):
            said = GPU.search(" ".join(limit["why"].split()))
            if measure in RATIOS and not (said and MEANS.search(said[0])):
                yield f"{claim['id']}: {measure}"


def limits(accept: dict | list) -> Iterator[tuple[str, dict]]:
    """Every limit of an `accept`, those inside groups and lists included."""
    for item in accept if isinstance(accept, list) else [accept]:
        for key, value in item.items():
            if key in ("any_of", "all_of"):
                yield from limits(value)
            else:
                yield from ((key, each) for each in (value if isinstance(value, list) else [value]))


def test_every_ratio_limit_says_what_a_gpu_may_do():
    found = [claim for path in sorted(CONTRACTS.rglob("*.yaml")) for claim in contract(path)]
    ratios = [m for claim in found for m, _ in limits(claim.get("accept", {})) if m in RATIOS]
    assert len(ratios) > 200
    assert not list(lacking(found))


def contract(path):
    return load_yaml(path)[0].get("falsification_tests", [])


@pytest.mark.parametrize(
    ("why", "missing"),
    [
        ("no single case far out", 1),
        ("a GPU is faster", 1),
        ("tensor cores are named; a GPU is not", 1),
        ("no single case far out; a GPU may add on tensor cores", 0),
        ("a GPU may split the sum (split-K)", 0),
    ],
)
def test_a_reason_without_the_gpu_or_without_a_means_is_found(why, missing):
    for accept in ({"err_ratio": {"le": 2.0, "why": why}}, {"any_of": [{"worst_ratio": [{"le": 2.0, "why": why}]}]}):
        assert len(list(lacking([{"id": "X", "accept": accept}]))) == missing
    assert not list(lacking([{"id": "X", "accept": {"mismatches": {"eq": 0, "why": why}}}]))
