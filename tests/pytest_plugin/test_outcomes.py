"""`pytest contracts/`: claims as items, verdicts as outcomes, the exit code of `harness run`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.command import harness
from tests.support.plugin_project import claim, contract, outcomes, run, sealed, verdicts
from tests.support.repository import CONTRACTS, ROOT

WRONG = """
import numpy as np

def rmsnorm(x, weight, eps):
    wide = x.astype(np.float32)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + 1e-5) * weight).astype(x.dtype)
"""
RMSNORM = str(CONTRACTS / "ops" / "rmsnorm.yaml")
WITH_TORCH = {"PYTHONPATH": str(ROOT)}


def test_partial_is_a_skip_that_says_so_and_never_a_pass(tmp_path: Path) -> None:
    code, said = run(tmp_path, RMSNORM, "-q", "-rs", "-k", "EPS or STATE", "--junitxml", "report.xml", **WITH_TORCH)
    assert code == 0, said
    assert "2 skipped, 1 deselected" in said
    assert "passed" not in said
    assert "PARTIAL: survived on cpu; discharges on cuda" in said
    assert outcomes(tmp_path / "report.xml") == {
        "FALSIFY-RMSNORM-EPS-001": "skipped",
        "FALSIFY-RMSNORM-STATE-001": "skipped",
    }
    assert f"harness: 2 PARTIAL; evidence evidence/{sealed(tmp_path).name}\n" in said


VERDICTS = {
    "A-DISCHARGED": ("DISCHARGED", "passed"),
    "A-PARTIAL": ("PARTIAL", "skipped"),
    "A-UNVERIFIED": ("UNVERIFIED", "skipped"),
    "B-FALSIFIED": ("FALSIFIED", "failure"),
    "B-ERROR": ("ERROR", "error"),
    "B-UNSOUND": ("UNSOUND", "error"),
    "B-VACUOUS": ("VACUOUS", "error"),
}


@pytest.mark.parametrize("how", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_every_verdict_has_its_outcome_and_one_run_holds_them_all(project: Path, how: list[str]) -> None:
    (project / "a.yaml").write_text(
        contract(
            "alone",
            claim("A-DISCHARGED"),
            claim("A-PARTIAL", on="cuda"),
            claim("A-UNVERIFIED", "asks_much"),
        ),
        encoding="utf-8",
    )
    (project / "b.yaml").write_text(
        contract(
            "broken",
            claim("B-FALSIFIED", "halves"),
            claim("B-ERROR", "raises"),
            claim("B-UNSOUND", "expects_another"),
            claim("B-VACUOUS", mutant="as_it_is"),
        ),
        encoding="utf-8",
    )
    code, said = run(project, ".", "-rs", "--junitxml", "report.xml", *how)
    assert code == 1, said
    assert outcomes(project / "report.xml") == {name: outcome for name, (_, outcome) in VERDICTS.items()}, said
    assert verdicts(sealed(project)) == {name: verdict for name, (verdict, _) in VERDICTS.items()}
    assert "UNVERIFIED: candidate has no `triple`" in said
    assert ".py:" not in said, "a traceback of ours"
    log = re.search(r"log +(evidence/.*log.txt)", said)
    assert log is not None
    assert "no such kernel" in (project / log[1]).read_text(encoding="utf-8")
    assert "harness: 1 ERROR, 1 UNSOUND, 1 FALSIFIED, 1 VACUOUS, 1 UNVERIFIED, 1 PARTIAL, 1 DISCHARGED" in said


def test_a_contract_on_top_of_a_red_one_is_blocked_though_its_file_comes_first(project: Path) -> None:
    (project / "a.yaml").write_text(contract("above", claim("A-ABOVE"), after="below"), encoding="utf-8")
    (project / "b.yaml").write_text(contract("below", claim("B-BELOW", "halves")), encoding="utf-8")
    code, said = run(project, "a.yaml", "b.yaml", "-rs", "--junitxml", "report.xml")
    assert code == 1, said
    assert "BLOCKED: survived, but below is red" in said
    assert outcomes(project / "report.xml") == {"B-BELOW": "failure", "A-ABOVE": "skipped"}
    assert verdicts(sealed(project)) == {"A-ABOVE": "BLOCKED", "B-BELOW": "FALSIFIED"}


def test_a_claim_reported_before_the_red_one_below_it_is_blocked_at_sealing(project: Path) -> None:
    (project / "a.yaml").write_text(contract("above", claim("A-ABOVE"), after="below"), encoding="utf-8")
    (project / "b.yaml").write_text(contract("below", claim("B-BELOW", "halves")), encoding="utf-8")
    hook = "@pytest.hookimpl(trylast=True)\ndef pytest_collection_modifyitems(items):\n    items.reverse()\n"
    (project / "conftest.py").write_text("import pytest\n" + hook, encoding="utf-8")
    code, said = run(project, ".")
    assert code == 1, said
    assert verdicts(sealed(project)) == {"A-ABOVE": "BLOCKED", "B-BELOW": "FALSIFIED"}
    assert "harness: A-ABOVE is BLOCKED (reported DISCHARGED): survived, but below is red" in said
    assert "harness: 1 FALSIFIED, 1 BLOCKED; evidence" in said


def test_a_failure_shows_its_counterexample_and_the_way_back_to_it(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(WRONG, encoding="utf-8")
    code, said = run(tmp_path, RMSNORM, "-q", "-x", "--harness-candidate", "kernels.py", **WITH_TORCH)
    assert code == 1, said
    assert "FALSIFIED FALSIFY-RMSNORM-EPS-001" in said
    assert re.search(r"found +out\[", said)
    assert "pytest_plugin.py" not in said, "a traceback of ours"
    again = next(line for line in said.splitlines() if "harness replay" in line).split()[3:]
    replayed = harness(tmp_path, "replay", *again)
    assert replayed.returncode == 1, replayed.stdout + replayed.stderr
    assert "the stored bytes" in replayed.stdout
    assert verdicts(sealed(tmp_path))["FALSIFY-RMSNORM-F64-001"] == "UNVERIFIED"  # -x: it did not run


def test_xdist_stopped_by_the_first_failure_exits_as_run_does(project: Path) -> None:
    (project / "a.yaml").write_text(contract("a", claim("A-ONE", "halves"), claim("A-TWO")), encoding="utf-8")
    code, said = run(project, "a.yaml", "-n", "1", "-x")
    assert code == 1, said
    assert verdicts(sealed(project))["A-ONE"] == "FALSIFIED"


@pytest.mark.parametrize(
    ("claims", "test", "how", "expected"),
    [
        (claim("A-UNVERIFIED", "asks_much"), "assert True", [], 3),
        (claim("A-UNVERIFIED", "asks_much"), "assert True", ["-n", "1"], 3),
        (claim("A-DISCHARGED"), "assert True", [], 0),
        (claim("A-DISCHARGED"), "assert False", [], 1),
        (claim("A-UNVERIFIED", "asks_much"), "assert False", ["-n", "1"], 1),
    ],
)
def test_beside_ordinary_tests_the_exit_code_is_the_worse_of_both(
    project: Path, claims: str, test: str, how: list[str], expected: int
) -> None:
    (project / "a.yaml").write_text(contract("a", claims), encoding="utf-8")
    (project / "test_ordinary.py").write_text(f"def test_it():\n    {test}\n", encoding="utf-8")
    code, said = run(project, ".", *how)
    assert code == expected, said


def test_a_claim_that_a_conftest_skips_is_unverified_and_no_success(project: Path) -> None:
    (project / "a.yaml").write_text(contract("a", claim("A-ONE")), encoding="utf-8")
    text = "def pytest_collection_modifyitems(items):\n    for i in items: i.add_marker('skip')\n"
    (project / "conftest.py").write_text(text, encoding="utf-8")
    code, said = run(project, ".")
    assert code == 3, said
    assert "harness: 1 UNVERIFIED; evidence none" in said
