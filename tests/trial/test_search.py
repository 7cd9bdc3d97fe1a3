"""The search after the fixed cases: its order, its bound, what it finds, and what it takes for luck."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.evidence import store, verify
from harness.judging.cause import Cause
from harness.judging.judge import judge
from harness.judging.verdict import Verdict
from harness.observation import Observation
from harness.trial.experiment import Experiment, record
from harness.trial.job import Job, assemble
from harness.trial.search import Bound, Search, Searched
from tests.support import rare
from tests.support.command import as_json, light


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rare")
    rare.lay(path)
    return path


def claim_in(folder: Path) -> Claim:
    return check([folder / "c"]).contracts[0].claims[0]


def experiment(folder: Path, candidate: str, seed: int = 0) -> Experiment:
    """The experiment of the claim in `folder` on the candidate of a name, without mutants."""
    job = Job(claim_in(folder), seed, "cpu", f"{candidate}.py", str(folder))
    return assemble(job)


def tried(folder: Path, candidate: str, cases: int, seed: int = 0) -> tuple[list[tuple[Any, ...]], Searched]:
    """The cases that a search tries, in order (parameters, seed, the bytes of x), and its result."""
    made = experiment(folder, candidate, seed)
    fixed = record(made, "cpu")
    seen: list[tuple[Any, ...]] = []

    def watched(subject: Any, case: Any, **params: Any) -> Observation:
        found: Observation = made.falsifier(subject, case, **params)
        seen.append((case.params["rows"], case.params["level"], case.seed, case.arrays["x"].tobytes()))
        return found

    search = Search(replace(made, falsifier=watched), claim_in(folder), seed, fixed, Bound(cases))
    return seen, search.run()


def test_the_same_seed_tries_the_same_cases_and_a_longer_search_goes_on_from_them(folder: Path) -> None:
    first, _ = tried(folder, "good", 40)
    again, _ = tried(folder, "good", 40)
    longer, _ = tried(folder, "good", 70)
    other, _ = tried(folder, "good", 40, seed=1)
    assert first == again
    assert longer[: len(first)] == first
    assert not {case[2] for case in first} & {case[2] for case in other}


def test_it_stops_at_its_bound_and_tries_sizes_that_no_fixed_case_has(folder: Path) -> None:
    seen, found = tried(folder, "good", 7)
    assert (found.body["cases"], found.body["ended"], found.record) == (7, "bound", None)
    fixed = {spec.params["rows"] for spec in plan(claim_in(folder), 0)}
    drawn = {spec.seed for spec in plan(claim_in(folder), 0)}
    sizes = {rows for rows, _, seed, _ in seen if seed not in drawn}
    assert len(sizes) >= 3
    assert not sizes & fixed


@pytest.mark.parametrize("bug", ["one_size", "one_range"])
def test_a_rare_bug_is_red_stored_verified_and_replayed(folder: Path, bug: str, tmp_path: Path) -> None:
    fixed = light(folder, "run", "c", "--candidate", f"{bug}.py", "--json", "--evidence", str(tmp_path / "fixed"))
    assert as_json(fixed)["counts"] == {"PARTIAL": 1}, fixed.stdout
    options = ("--search", "300s", "--evidence", str(tmp_path / "long"))
    done = light(folder, "run", "c", "--candidate", f"{bug}.py", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The last one breaks a limit" in done.stdout
    run = store.sealed(tmp_path / "long")
    assert verify.check(run) == []
    place = run / "claims" / rare.CLAIM
    result = json.loads((place / "result.json").read_text())
    assert result["verdict"] == "FALSIFIED"
    assert result["search"]["ended"] == "found"
    assert result["record"]["searched"] == [result["search"]["found"]["case"]]
    without = [case for case in result["record"]["cases"] if case["index"] not in result["record"]["searched"]]
    assert judge(store.entry(place).source, {**result["record"], "cases": without}).verdict is not Verdict.FALSIFIED
    assert {violated["case"] for violated in result["violated"]} == set(result["record"]["searched"])
    before = json.loads((store.sealed(tmp_path / "fixed") / "claims" / rare.CLAIM / "result.json").read_text())
    assert result["mutants"] == before["mutants"]
    arrays = load_file(place / "counterexample.safetensors")
    assert len(arrays["in.x"]) == 13 if bug == "one_size" else (arrays["in.x"].max(-1) <= -300).any()
    assert bool(result["search"]["found"]["edits"]) == (bug == "one_range")
    again = light(folder, "replay", str(place), "--contracts", "c", "--candidate", f"{bug}.py")
    assert again.returncode == 1
    assert "the same bytes as recorded" in again.stdout
    assert light(folder, "replay", str(place), "--contracts", "c", "--candidate", "good.py").returncode == 0


def test_a_short_search_is_part_of_every_run_and_two_runs_are_equal(folder: Path, tmp_path: Path) -> None:
    results = []
    for name in ("a", "b"):
        done = light(folder, "run", "c", "--candidate", "good.py", "--evidence", str(tmp_path / name))
        assert "1 PARTIAL" in done.stdout, done.stdout
        place = store.sealed(tmp_path / name) / "claims" / rare.CLAIM
        results.append(json.loads((place / "result.json").read_text()))
        assert "Searched 2 further cases" in (place / "README.md").read_text()
    assert results[0]["search"]["cases"] == claim_in(folder).examples // 10 == 2
    assert results[0]["search"] == results[1]["search"]
    assert results[0]["record"] == results[1]["record"]


def test_what_the_candidate_raises_on_a_searched_case_decides_as_on_a_fixed_one(folder: Path) -> None:
    _, found = tried(folder, "raises", 100)
    assert found.body["raised"] is not None
    assert "no kernel for 13" in found.body["raised"]
    assert found.body["ended"] == "found"
    assert found.record is not None
    judgement = judge(claim_in(folder).source, found.record)
    assert (judgement.verdict, judgement.cause) == (Verdict.ERROR, Cause.RAISED)
    assert "no kernel for 13" in judgement.reason


@np.errstate(over="ignore")
def exponentials(subject: Any, case: Any, *, rows: int) -> Observation:
    x = case.array("x", lambda: case.stream("x").standard_normal((rows, 16)))
    return Observation(y=(subject.exp(x), np.exp(x.astype(np.float64))))


def searched_exponentials(candidate: Callable[[np.ndarray], np.ndarray]) -> Searched:
    """A search of 200 cases for a wrong exp, with NumPy's as the baseline."""
    source = {
        "id": "E",
        "explore": {"rows": {"boundary": [4, 40]}},
        "examples": 8,
        "accept": {"worst_ratio": {"le": 4.0, "why": "w"}},
        "mutants_exempt": "a test",
        "discharges_on": ["cuda"],
    }
    claim = Claim("c", "c.yaml", 1, source)
    made = Experiment(
        falsifier=exponentials,
        given={},
        cases=plan(claim, 0),
        extras=frozenset({"worst_ratio"}),
        device="cpu",
        candidate=SimpleNamespace(exp=candidate),
        baseline=SimpleNamespace(exp=np.exp),
    )
    return Search(made, claim, 0, record(made, "cpu"), Bound(200)).run()


def test_lost_digits_that_a_rounding_of_the_inputs_explains_are_no_violation() -> None:
    def half_a_rounding_off(x: np.ndarray) -> np.ndarray:
        """Right to half a rounding of its input: the error grows with abs(x), beyond ten times the limit."""
        return np.exp(x.astype(np.float64) * (1 + 2.0**-25)).astype(np.float32)

    found = searched_exponentials(half_a_rounding_off)
    assert found.record is None
    assert found.body["unconfirmed"] > 0


def test_an_error_of_one_seed_alone_is_luck_and_a_large_one_is_not() -> None:
    def wrong_by(error: float) -> Callable[[np.ndarray], np.ndarray]:
        """Wrong in about one case of a hundred, as its values fall."""
        return lambda x: np.exp(x) * np.float32(1 + error * (zlib.crc32(x.tobytes()) % 100 == 0))

    lucky = searched_exponentials(wrong_by(6e-7))
    assert lucky.record is None
    assert lucky.body["unconfirmed"] > 0
    assert searched_exponentials(wrong_by(1e-2)).body["ended"] == "found"


def test_what_the_candidate_raises_on_edited_values_is_told_and_changes_no_verdict() -> None:
    def refuses_large_numbers(x: np.ndarray) -> np.ndarray:
        if np.abs(x).max() > 20:
            raise ValueError("expected magnitudes up to 20")
        return np.exp(x)

    found = searched_exponentials(refuses_large_numbers)
    assert found.record is None
    assert "up to 20" in str(found.body["raised"])
    assert found.body["ended"] == "bound"
