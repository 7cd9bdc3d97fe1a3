"""CONTRIBUTING's steps for a measurement, done on a copy: one file changes, and a contract can limit the new name."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

NAME = "p99_abs_err"
TABLE = "harness/measurements/table.py"
CONTRACT = """\
metadata: {id: softmax-p99, version: 1.0.0, title: Softmax, description: Few elements err., references: [r]}
equations: {softmax: y = softmax(x)}
falsification_tests:
- id: FALSIFY-SOFTMAX-P99-001
  rule: 99 of 100 elements are within round-off
  prediction: a stale running sum moves them all
  falsifier: harness.falsifiers.ops:parity
  baseline: harness.falsifiers.baselines.torch_ops
  given: {op: softmax, dtype: float32}
  explore: {rows: {choices: [3]}, length: {choices: [129]}}
  examples: 2
  accept:
    p99_abs_err: {le: 1.0e-6, why: outputs are at most 1 and round-off is 6e-8}
  mutants: [sum_not_rescaled]
  if_fails: look at the running sum
"""


def files(copy):
    return {
        path.relative_to(copy).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (copy / "harness").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def harness(copy, *words):
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The engine and the contracts in a folder of their own, beside a contract that limits the new measurement."""
    folder = tmp_path_factory.mktemp("scratch")
    for name in ("harness", "contracts"):
        shutil.copytree(ROOT / name, folder / "copy" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "p99.yaml").write_text(CONTRACT)
    return folder / "copy"


def test_the_steps_add_a_measurement_by_one_entry(copy):
    page = (ROOT / "CONTRIBUTING.md").read_text()
    section = page.partition("\n## A measurement\n")[2].partition("\n## ")[0]
    function, entry = (
        re.sub(r"^   ", "", block, flags=re.MULTILINE)
        for block in re.findall(r"^   ```python\n(.*?)^   ```$", section, re.MULTILINE | re.DOTALL)
    )
    assert f'"{NAME}": Measurement(' in entry

    before = harness(copy, "validate", "p99.yaml")
    assert before.returncode == 2
    assert f"unknown measurement '{NAME}'" in before.stderr + before.stdout

    had = files(copy)
    table = copy / TABLE
    opening = "MEASUREMENTS = {\n"
    text = table.read_text()
    assert text.count(opening) == 1
    table.write_text(text.replace(opening, f"{function}\n\n{opening}{entry}"))
    assert {name for name, digest in files(copy).items() if had.get(name) != digest} == {TABLE}

    validated = harness(copy, "validate", "p99.yaml")
    assert validated.returncode == 0, validated.stderr
    words = harness(copy, "explain", NAME).stdout
    assert "the absolute error that 99 of 100 elements do not exceed" in " ".join(words.split())

    ran = harness(copy, "run", "p99.yaml", "--device", "cpu", "--json", "--evidence", str(copy.parent / "evidence"))
    assert ran.returncode == 0, ran.stderr + ran.stdout
    (claim,) = json.loads(ran.stdout)["claims"]
    assert 0 < claim["measurements"][NAME]["float32"] <= 1e-6
    killers = {mutant["name"]: mutant["by"] for mutant in claim["mutants"]}
    assert killers["sum_not_rescaled"] == f"{NAME} le 1e-06"
    assert harness(copy, "verify", "evidence").returncode == 0
