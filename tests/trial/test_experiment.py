"""How a subject ends: run, unsupported, not run, inapplicable, crashed; and what is derived from the baseline."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.contract.cases import CaseSpec
from harness.judging.judge import judge
from harness.judging.verdict import Verdict
from harness.mutant import Inapplicable, NotRun
from harness.observation import Observation
from harness.trial.experiment import Experiment, record

CLAIM = {
    "accept": {"rel_l2_err": {"le": 1e-6, "why": "w"}},
    "mutants": ["wrong"],
    "discharges_on": ["cuda"],
}


def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 4))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))


def right(x):
    return x + x


def experiment(candidate=right, **mutants):
    return Experiment(
        falsifier=doubles,
        given={},
        cases=[CaseSpec(i, i, "float32", {"rows": rows}) for i, rows in enumerate((1, 3))],
        extras=frozenset(),
        device="cpu",
        candidate=SimpleNamespace(double=candidate),
        baseline=SimpleNamespace(double=right),
        mutants={"wrong": lambda b: SimpleNamespace(double=lambda x: 3 * x), **mutants},
    )


def raising(problem):
    def double(x):
        raise problem

    return double


def verdict(exp):
    found = judge(CLAIM, record(exp, "cpu"))
    return found.verdict, found.reason


class Lacking(Exception):
    unsupported = True


def test_a_candidate_may_say_itself_that_it_cannot():
    assert verdict(experiment(raising(Lacking("other weights")))) == (Verdict.UNVERIFIED, "other weights")


@pytest.mark.parametrize("problem", [MemoryError(), NotRun("no cuda"), Inapplicable("no bias"), ValueError("x")])
def test_anything_else_a_candidate_raises_is_an_error(problem):
    assert verdict(experiment(raising(problem)))[0] is Verdict.ERROR


def test_a_mutant_without_its_device_is_not_run():
    found = record(experiment(tf32=lambda b: SimpleNamespace(double=raising(NotRun("needs cuda")))), "cpu")
    assert found["mutants"]["tf32"]["status"] == "not_run"

    def factory(baseline):
        raise NotRun("needs cuda")

    assert record(experiment(tf32=factory), "cpu")["mutants"]["tf32"]["status"] == "not_run"


def test_a_mutant_that_does_not_apply_is_tried_on_the_other_cases():
    def double(x):
        if x.shape[0] == 1:
            raise Inapplicable("one row")
        return 3 * x

    found = record(experiment(some=lambda b: SimpleNamespace(double=double)), "cpu")["mutants"]["some"]
    assert (found["status"], found["skipped"]) == ("ran", [0])
    assert {row["case"] for row in found["rows"]} == {1}


def test_a_mutant_that_raises_is_not_killed():
    exp = experiment(broken=lambda b: SimpleNamespace(double=raising(ImportError("no kernel"))))
    assert verdict(exp)[0] is Verdict.VACUOUS
    assert "ImportError: no kernel" in verdict(exp)[1]


def test_free_mutants_come_with_every_parity_claim():
    free = {name for name, subject in record(experiment(), "cpu")["mutants"].items() if subject.get("free")}
    assert free == {"zeros", "nan", "mean", "input", "lower_precision"}


def test_what_a_number_is_about_must_belong_to_a_number():
    assert Observation(lost=2, where={"lost": "w", "absent": ""}).where == {"lost": "w"}
    with pytest.raises(TypeError, match=r"where=.*found \['absent'\], expected names of measurements"):
        Observation(lost=2, where={"absent": "w"})


def test_a_falsifier_that_returns_no_observation_is_an_error():
    exp = experiment()
    wrong = Experiment(**{**vars(exp), "falsifier": lambda subject, case, *, rows: None})
    assert verdict(wrong)[0] is Verdict.ERROR
