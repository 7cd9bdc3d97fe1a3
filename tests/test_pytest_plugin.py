"""`pytest contracts/`: claims as items, verdicts as outcomes, the exit code of `harness run`, sealed evidence."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from laboratory import CONTRACTS, ROOT

from harness.cli import main

WRONG = """
import numpy as np

def rmsnorm(x, weight, eps):
    wide = x.astype(np.float32)
    return (wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + 1e-5) * weight).astype(x.dtype)
"""
RMSNORM = str(CONTRACTS / "ops" / "rmsnorm.yaml")


def run(folder: Path, *args: str) -> tuple[int, str]:
    """pytest as a user runs it; exit code and output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", "/dev/null"]
    done = subprocess.run(
        [*command, "--evidence", str(folder / "evidence"), "--harness-device", "cpu", *args],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    return done.returncode, done.stdout + done.stderr


def test_survival_on_a_cpu_is_a_skip_that_says_so_and_the_exit_code_is_runs(tmp_path: Path) -> None:
    code, said = run(tmp_path, RMSNORM, "-q", "-rs", "-k", "EPS or STATE", "--junitxml", "report.xml")
    assert code == 0, said
    assert "harness: 2 PARTIAL" in said
    assert "PARTIAL: survived on cpu; discharges on cuda" in said
    cases = ElementTree.parse(tmp_path / "report.xml").getroot().iter("testcase")
    assert {case.get("name") for case in cases} == {"FALSIFY-RMSNORM-EPS-001", "FALSIFY-RMSNORM-STATE-001"}
    [evidence] = (tmp_path / "evidence").iterdir()
    assert main(["verify", str(evidence)]) == 0


def test_a_wrong_kernel_fails_with_its_counterexample_and_the_way_back_to_it(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(WRONG, encoding="utf-8")
    code, said = run(tmp_path, RMSNORM, "-q", "-x", "--candidate", "kernels.py")
    assert code == 1, said
    assert "FALSIFIED FALSIFY-RMSNORM-EPS-001" in said
    assert "found     out[" in said
    assert "Traceback" not in said
    again = next(line for line in said.splitlines() if "harness replay" in line).split()[-1]
    assert (tmp_path / again).is_file()


def test_claims_that_nobody_tried_are_no_success(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text("def softmax(x, axis=-1): return x\n", encoding="utf-8")
    code, said = run(tmp_path, RMSNORM, "-q", "-rs", "-k", "EPS", "--candidate", "kernels.py")
    assert code == 3, said
    assert "UNVERIFIED: candidate has no `rmsnorm`" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("falsification_tests: []\n", "metadata"),
        ("metadata: {id: a}\nfalsification_tests:\n- id: X\n  acept: {}\n", "acept"),
    ],
)
def test_a_contract_with_a_mistake_is_an_error_of_collection_with_its_line(
    text: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    code, said = run(tmp_path, "wrong.yaml", "-q")
    assert code == 2, said
    assert words in said
    assert "wrong.yaml:" in said


def test_other_yaml_is_left_alone_and_xdist_shares_the_work(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: 1\n", encoding="utf-8")
    code, said = run(tmp_path, str(tmp_path), RMSNORM, "-q", "-n", "2", "-k", "EPS or STATE")
    assert code == 0, said
    assert "harness: 2 PARTIAL" in said
