"""power.py: a claim catches a version, a twin that breaks a limit is an alarm, the rules are as documented."""

import itertools
from pathlib import Path

import numpy as np
import power_tables
import pytest
from in_process import recorded
from power import Session, chosen, examine
from prepared import Prepared
from wrong import VERSIONS
from wrong.rules import RULES, agreed
from wrong.version import Version

from harness.contract.claim import Claim
from harness.contract.validate import check
from harness.judging.judge import judge
from tests.support.repository import ROOT


def claim(name: str, file: str) -> Claim:
    found = check([Path(ROOT) / "contracts" / "ops" / file]).contracts
    return next(c for contract in found for c in contract.claims if c.id == name)


def version(name: str) -> Version:
    return next(v for v in VERSIONS if v.name == name)


def right(wrong, x, eps):
    """A version whose twin is as right as itself."""
    return x / np.sqrt(np.square(x.astype(np.float64)).sum(axis=-1, keepdims=True) + eps).astype(x.dtype)


def doubled(wrong, x, eps):
    """A version whose right twin is wrong too."""
    return 2 * right(wrong, x, eps)


@pytest.fixture
def lengths() -> Claim:
    return claim("FALSIFY-L2NORM-F64-001", "l2norm.yaml")


@pytest.mark.parametrize("name", ["FALSIFY-L2NORM-F64-001", "FALSIFY-L2NORM-SPECIAL-001"])
@pytest.mark.parametrize("wrong", [True, False])
def test_prepared_cases_are_judged_as_a_record_is(name: str, wrong: bool) -> None:
    asked = claim(name, "special_values.yaml" if "SPECIAL" in name else "l2norm.yaml")
    subject = version("length_by_the_mean").subject(wrong)
    with np.errstate(all="ignore"):
        prepared = Prepared(asked, seed=3)
        again = [prepared.judged(subject).violated for _ in range(2)]
        assert again == [judge(asked.source, recorded(asked, subject, seed=3)).violated] * 2


def test_a_wrong_version_is_caught_by_name_and_its_twin_is_not(lengths: Claim) -> None:
    outcome = examine(Session(0, [lengths]), version("length_by_the_mean"), lambda _: None)
    assert outcome.caught.startswith("FALSIFY-L2NORM-F64-001, rel_l2_err of out, case ")
    assert (outcome.claims, outcome.alarms) == (1, [])
    assert power_tables.line(outcome).startswith("caught  norms length_by_the_mean (ordinary)")


def test_a_version_that_is_not_wrong_is_missed(lengths: Claim) -> None:
    outcome = examine(Session(0, [lengths]), Version(right, "l2norm", lambda f, r: 0, "-"), lambda _: None)
    assert (outcome.caught, outcome.alarms) == ("", [])
    assert set(outcome.passed.values()) == {True}
    assert power_tables.line(outcome).startswith("MISSED")


def test_a_twin_that_breaks_a_limit_is_an_alarm(lengths: Claim) -> None:
    outcome = examine(Session(0, [lengths]), Version(doubled, "l2norm", lambda f, r: 0, "-"), lambda _: None)
    assert [alarm.partition(":")[0] for alarm in outcome.alarms] == ["FALSIFY-L2NORM-F64-001"] * len(outcome.alarms)
    assert outcome.alarms
    assert "ALARM   right twin of doubled" in power_tables.line(outcome)


def test_claims_are_found_by_op_or_by_falsifier() -> None:
    claims = [c for contract in check([ROOT / "contracts"]).contracts for c in contract.claims]
    session = Session(0, claims)
    assert [v.name for v in VERSIONS if not session.of(v)] == []
    assert {c.op for c in session.of(version("drops_the_tail"))} == {"rmsnorm"}
    assert {c.falsifier for c in session.of(version("norms_are_added"))} == {
        "harness.falsifiers.training.accumulation:clipping"
    }


@pytest.mark.parametrize(
    ("by", "taken"),
    [(0.0, {"torch.testing.assert_close", "numpy.allclose", "KernelBench"}), (5e-5, {"KernelBench"}), (1e-2, set())],
)
def test_the_rules_have_the_tolerances_that_they_are_documented_with(by: float, taken: set[str]) -> None:
    def scaled(wrong, x, eps):
        return right(wrong, x, eps) * np.float32(1 + by * wrong)

    found = agreed(Version(scaled, "l2norm", lambda f, r: 0, "-"))
    assert {name for name, passed in found.items() if passed} == taken
    assert list(found) == list(RULES)


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(SystemExit, match="found no version 'rmsnrom', expected a version's name or one of"):
        chosen("rmsnrom")


def test_the_tables_count_by_class_and_list_what_was_missed(lengths: Claim) -> None:
    session = Session(0, [lengths])
    versions = [version("length_by_the_mean"), Version(right, "l2norm", lambda f, r: 0, "-", rare="one value range")]
    text = power_tables.markdown([examine(session, v, lambda _: None) for v in versions], list(RULES), 0)
    assert "| ordinary | 1 | 1 (100 %) | 1 (100 %) | 1 (100 %) | 1 (100 %) |" in text
    assert "| rare | 1 | 0 (0 %) | 0 (0 %) | 0 (0 %) | 0 (0 %) |" in text
    assert "| `right` | l2norm | one value range | A version whose twin is as right as itself. | 1 |" in text


def test_versions_of_the_same_claims_stand_side_by_side() -> None:
    groups = [v.falsifiers or v.op.removesuffix("_backward") for v in chosen("")]
    assert sum(a != b for a, b in itertools.pairwise(groups)) + 1 == len(set(groups))
    assert len(groups) == len(VERSIONS)
