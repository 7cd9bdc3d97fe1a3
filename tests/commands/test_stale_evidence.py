"""What `harness gate`, `report` and `mutants` say of evidence, and when it is STALE."""

import re
import shutil

import pytest

from tests.support.command import as_json, harness
from tests.support.doubling import FALSIFIERS

SHIPPED = ("--candidate", "good.py")


def test_gate_report_and_mutants(lab, tmp_path):
    folder, found = lab
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling", *SHIPPED)
    assert gate.returncode == 3
    assert "X2 UNVERIFIED: open: all of it" in gate.stdout
    assert "CLOSED, 75 % (1 discharged, 0 partial, 0 red, 1 open)" in gate.stdout
    report = harness(folder, "report", found["evidence"], "--out", str(tmp_path / "r"))
    assert report.returncode == 0, report.stderr
    text = (tmp_path / "r/report.md").read_text()
    assert "| doubling | 75 % (1 discharged, 0 partial, 0 red, 1 open) |" in text
    inside = harness(folder, "report", found["evidence"], "--out", found["evidence"] + "/r")
    assert inside.returncode == 2
    assert "inside the sealed run" in inside.stderr
    mutants = harness(folder, "mutants", found["evidence"], "--json")
    assert mutants.returncode == 0
    rows = {m["name"]: m for m in as_json(mutants)["mutants"]}
    assert rows["triples"]["by"] == "rel_l2_err le 1e-06"
    assert rows["triples"]["margin"] == pytest.approx(5e5, rel=0.01)
    assert "6 mutants, 6 killed, 0 alive" in harness(folder, "mutants", "contracts").stdout


def test_gate_marks_evidence_of_another_contract_stale(lab, tmp_path):
    folder, found = lab
    changed = tmp_path / "contracts"
    shutil.copytree(folder / "contracts", changed)
    text = (changed / "doubling.yaml").read_text()
    (changed / "doubling.yaml").write_text(text.replace("1.0e-6", "1.0e-7"))
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling", "--contracts", str(changed), *SHIPPED)
    assert gate.returncode == 3
    assert re.search(
        r"STALE \(contract doubling: SHA-256 \w{12}… in .*, SHA-256 \w{12}… at hand: run again", gate.stdout
    )


def test_gate_marks_evidence_of_another_falsifier_stale(lab, tmp_path):
    folder, found = lab
    changed = tmp_path / "contracts"
    shutil.copytree(folder / "contracts", changed)
    (changed / "own.py").write_text(FALSIFIERS + "# edited\n")
    gate = harness(folder, "gate", found["evidence"], "--target", "doubling", "--contracts", str(changed), *SHIPPED)
    assert re.search(r"STALE \(contract doubling, own.py: SHA-256 \w{12}… in .*, SHA-256 \w{12}… at", gate.stdout)
