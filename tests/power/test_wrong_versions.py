"""The library of wrong versions: each is wrong where it says, and right with its bug turned off."""

import re
from collections import Counter

import numpy as np
import pytest
from wrong import FAMILIES, VERSIONS
from wrong.problems import PROBLEMS
from wrong.version import Numpy, Version, flat

SOURCE = re.compile(r"(given: )?([\w.-]+/[\w.-]+#\d+|Synthetic: .{20,})")
SMALLEST = 1e-6
"""A relative difference that no reordering explains: these are the same operations in the same order."""


def moved(version: Version) -> float:
    """How far the wrong version is from its twin on its trigger; inf for other shapes, integers or NaN."""
    wrong, right = (flat(version.trigger(Numpy(version.subject(w)), np.random.default_rng(7))) for w in (True, False))
    if len(wrong) != len(right):
        return np.inf
    return max(_apart(a, b) for a, b in zip(wrong, right, strict=True))


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.dtype.kind not in "fiu":
        return np.inf if a.tolist() != b.tolist() else 0.0
    if a.shape != b.shape or (np.isfinite(a) != np.isfinite(b)).any():
        return np.inf
    if a.dtype.kind != "f":
        return np.inf if (a != b).any() else 0.0
    kept = np.isfinite(b)
    far = np.abs(np.where(kept, a, 0).astype(np.float64) - np.where(kept, b, 0))
    return float((far / np.maximum(np.abs(np.where(kept, b, 0)), 1e-42)).max(initial=0))


@pytest.mark.parametrize("version", VERSIONS, ids=[version.name for version in VERSIONS])
def test_a_version_differs_from_its_twin_where_it_says(version: Version) -> None:
    with np.errstate(all="ignore"):
        assert moved(version) > SMALLEST


def test_a_version_without_a_bug_does_not_differ() -> None:
    same = Version(lambda wrong, x, eps: x, "l2norm", lambda f, r: f.l2norm(np.ones(3), 0.1), "Synthetic: nothing")
    assert moved(same) == 0


def test_there_are_120_and_half_of_them_are_rare() -> None:
    kinds = Counter(version.kind for version in VERSIONS)
    assert sum(kinds.values()) >= 120
    assert kinds["rare"] >= kinds["ordinary"]


def test_names_are_unique_and_each_module_declares_all_its_versions() -> None:
    counts = Counter(version.name for version in VERSIONS)
    assert [name for name, count in counts.items() if count > 1] == []
    assert sum(len(family.VERSIONS) for family in FAMILIES) == len(VERSIONS)


def test_each_says_what_is_wrong_and_where_the_idea_is_from() -> None:
    assert [v.name for v in VERSIONS if not v.does.endswith(".") or len(v.does) < 20] == []
    assert [v.name for v in VERSIONS if not SOURCE.fullmatch(v.source)] == []


def test_each_op_has_a_conventional_problem() -> None:
    assert {version.op for version in VERSIONS} - set(PROBLEMS) == set()
