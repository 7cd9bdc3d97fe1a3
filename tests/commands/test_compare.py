"""`harness compare`: what moved between two runs, which way, and why."""

import shutil

import pytest

from tests.support import report_lab as lab
from tests.support.command import as_json, harness


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(folder, right kernel, wrong kernel) with sealed runs of both."""
    folder = tmp_path_factory.mktemp("compare")
    return folder, *lab.right_then_wrong(folder)


def compared(folder, before, after):
    done = harness(folder, "compare", str(before), str(after), "--json")
    return done.returncode, as_json(done)


def test_a_bug_is_worse_and_its_mending_is_not(runs):
    folder, right, wrong = runs
    code, found = compared(folder, right, wrong)
    assert (code, found["worse"], found["before"], found["after"]) == (1, True, right.name, wrong.name)
    assert [c["text"] for c in found["causes"]] == ["candidate kernel<b>.py was edited"]
    moved = {t["id"]: (t["before"], t["after"], t["direction"]) for t in found["targets"]}
    assert moved["doubling"] == (66.67, 0.0, "worse")
    doubles = next(m for m in found["measurements"] if m["claim"] == "FALSIFY-DOUBLES-001")
    assert doubles["after"]["margin"] == pytest.approx(500, rel=0.01)
    code, found = compared(folder, wrong, right)
    assert (code, found["worse"]) == (0, False)
    assert {v["direction"] for v in found["verdicts"]} == {"better", "other"}


def test_a_run_against_itself_moves_nothing(runs):
    folder, right, _ = runs
    code, found = compared(folder, right, right)
    assert (code, found["verdicts"], found["mutants"], found["measurements"], found["causes"]) == (0, [], [], [], [])
    assert {t["direction"] for t in found["targets"]} == {"same"}


def test_what_did_not_run_is_not_green(runs):
    folder, *_ = runs
    (folder / "kernel<b>.py").write_text(lab.GOOD, encoding="utf-8")
    whole, part = lab.run(folder), lab.run(folder, "-k", "doubles")
    (folder / "kernel<b>.py").write_text(lab.WRONG, encoding="utf-8")
    code, found = compared(folder, whole, part)
    assert code == 1
    left = next(v for v in found["verdicts"] if v["id"] == "FALSIFY-DRIFTS-001")
    assert (left["after"], left["direction"], left["because"]) == ("UNVERIFIED", "worse", "left out by -k now")
    assert "FALSIFY-DOUBLES-001" not in {v["id"] for v in found["verdicts"]}
    assert compared(folder, part, part)[0] == 0


def test_a_mutant_that_now_survives_is_worse_though_the_claim_was_red_before(runs, tmp_path):
    folder, right, _ = runs
    shutil.copytree(folder / "contracts", tmp_path / "contracts")
    (tmp_path / "kernel<b>.py").write_text(lab.GOOD, encoding="utf-8")
    path = tmp_path / "contracts/trouble/own.py"
    path.write_text(
        path.read_text().replace(
            "return SimpleNamespace(double=lambda x: 3 * x", "return SimpleNamespace(double=lambda x: 2 * x"
        )
    )
    code, found = compared(folder, right, lab.run(tmp_path))
    assert code == 1
    assert {
        "claim": "FALSIFY-VACUOUS-001",
        "mutant": "triples",
        "before": "killed",
        "after": "survived",
        "direction": "worse",
    } in found["mutants"]
    assert "own.py, which contract trouble binds, was edited" in {c["text"] for c in found["causes"]}


def test_the_text_tells_the_same(runs):
    folder, right, wrong = runs
    done = harness(folder, "compare", str(right), str(wrong))
    assert done.returncode == 1
    assert "candidate kernel<b>.py was edited" in done.stdout
    assert "doubling: 66.67 % (1 discharged, 1 partial, 0 red, 1 open) → 0 %" in done.stdout
    assert "FALSIFY-DOUBLES-001: DISCHARGED → FALSIFIED" in done.stdout
    assert done.stdout.endswith("something got worse\n")
    again = harness(folder, "compare", str(wrong), str(wrong))
    assert again.stdout.endswith("nothing got worse\n")
    assert "nothing that is recorded differs" in again.stdout


def test_edited_evidence_is_refused(runs, tmp_path):
    folder, right, wrong = runs
    edited = tmp_path / right.name
    shutil.copytree(right, edited)
    (edited / "claims/FALSIFY-DOUBLES-001/log.txt").write_text("edited")
    done = harness(folder, "compare", str(edited), str(wrong))
    assert done.returncode == 1
    assert "changed after sealing" in done.stderr
