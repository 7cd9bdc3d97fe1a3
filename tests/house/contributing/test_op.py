"""CONTRIBUTING's steps for an op, taken on a copy of the repository: softsign, in the files that the steps name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT

OP = "softsign"
FILES = {
    "harness/reference/ops/<op>.py": '''"""The activation x / (1 + |x|) in float64."""

import numpy as np


def softsign_forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x / (1 + |x|). Shapes: x any -> out same, cache (x) same. Source: torch.nn.functional.softsign."""
    return x / (1 + np.abs(x)), x


def softsign_backward(dout: np.ndarray, cache: np.ndarray) -> np.ndarray:
    """dx = dout / (1 + |x|)**2. Shapes: dout as x -> the same."""
    return dout / (1 + np.abs(cache)) ** 2
''',
    "tests/ops/test_<op>.py": """import numpy as np
import torch

from harness.reference.ops.softsign import softsign_backward, softsign_forward


def test_the_reference_is_torchs():
    x = torch.linspace(-9, 9, 41, dtype=torch.float64, requires_grad=True)
    out, cache = softsign_forward(x.detach().numpy())
    want = torch.nn.functional.softsign(x)
    assert np.allclose(out, want.detach(), rtol=1e-14)
    want.sum().backward()
    assert np.allclose(softsign_backward(np.ones(41), cache), x.grad, rtol=1e-14)
""",
    "harness/falsifiers/ops/inputs/<op>.py": '''"""Both signs, small, ordinary and saturated."""

from harness.case import Case
from harness.falsifiers.ops.inputs.call import Call
from harness.reference.ops.softsign import softsign_forward


def softsign(case: Case, variant: int = 0, *, length: int, std: float) -> Call:
    """Shapes: x (2, length), of standard deviation std."""
    return Call((case.normal(f"x{variant}", (2, length), std=std),), softsign_forward)
''',
    "harness/falsifiers/baselines/torch_ops.py": '''

def softsign(x: torch.Tensor) -> torch.Tensor:
    """torch.nn.functional.softsign."""
    return F.softsign(x)
''',
    "harness/candidates/torch/ops/<op>.py": '''"""Softsign by a reciprocal."""

import torch

from harness.candidates.torch._width import widened


def softsign(x: torch.Tensor) -> torch.Tensor:
    """x * (1 + |x|)**-1. Shapes: x any -> the same."""
    wide = widened(x)
    return (wide * (1 + wide.abs()).reciprocal()).to(x.dtype)


def softsign_backward(dout: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor]:
    """dout * (1 + |x|)**-2. Shapes: all as x."""
    return ((widened(dout) * (1 + widened(x).abs()).reciprocal().square()).to(x.dtype),)
''',
    "harness/falsifiers/ops/mutants/<op>.py": '''"""Softsigns written wrong."""

from typing import Any

from harness.falsifiers.baselines.width import widened
from harness.mutant import mutant, replace


@mutant
def root_for_absolute(baseline: Any) -> Any:
    """x / sqrt(1 + x**2), the other algebraic sigmoid (synthetic)."""
    return replace(baseline, softsign=lambda x: (widened(x) / (1 + widened(x).square()).sqrt()).to(x.dtype))


@mutant
def one_and_a_quarter(baseline: Any) -> Any:
    """x / (1.25 + |x|): another constant (synthetic)."""
    return replace(baseline, softsign=lambda x: (widened(x) / (1.25 + widened(x).abs())).to(x.dtype))


@mutant
def square_missing(baseline: Any) -> Any:
    """dout / (1 + |x|) without the square (synthetic)."""
    return replace(baseline, softsign_backward=lambda dout, x: (dout / (1 + x.abs()),))
''',
    "contracts/ops/<op>.yaml": """\
metadata:
  {id: softsign-parity, version: 1.0.0, title: Softsign, description: d, references: [r], depends_on: []}
equations: {softsign: y = x / (1 + abs(x))}
falsification_tests:
- id: FALSIFY-SOFTSIGN-001
  rule: Softsign matches the reference
  prediction: another algebraic sigmoid is off by a tenth
  falsifier: harness.falsifiers.ops:parity
  baseline: harness.falsifiers.baselines.torch_ops
  given: {op: softsign}
  explore:
    length: {choices: [1, 7, 129]}
    std: {choices: [0.1, 1.0, 10.0]}
    dtype: {choices: [float32, bfloat16]}
  scale: 1
  examples: 12
  accept:
    err_ratio: {le: 4.0, why: pooled error against torch's in the same dtype}
  mutants: [root_for_absolute, one_and_a_quarter]
  ship_blocking: false
  budget_s: 3
  if_fails: look at the absolute value
- id: FALSIFY-SOFTSIGN-BACKWARD-001
  rule: Its gradient matches the reference
  prediction: without the square it is off by its own size
  falsifier: harness.falsifiers.ops.gradients:op_backward
  baseline: harness.falsifiers.baselines.autograd_ops
  given: {op: softsign}
  explore:
    length: {choices: [1, 7, 129]}
    std: {choices: [0.1, 1.0, 10.0]}
    dtype: {choices: [float32, bfloat16]}
  scale: 1
  examples: 12
  accept:
    err_ratio: {le: 4.0, why: pooled error against torch.autograd's in the same dtype}
  mutants: [square_missing]
  ship_blocking: false
  budget_s: 3
  if_fails: look at the square
""",
}
WRONG = """
from harness.candidates.torch import softsign_backward
ARRAYS = "torch"
def softsign(x):
    return x / (1.01 + x.abs())
"""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, softsign added: files that are there already get the text at their end."""
    root = tmp_path_factory.mktemp("scratch")
    for name in ("harness", "contracts"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        path = root / name.replace("<op>", OP)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    return root


def called(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, text=True, timeout=600
    )


def run(root: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = called(root, "harness", "run", "contracts/", "-k", OP, "--device", "cpu", "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, {
        claim["id"]: claim for claim in json.loads(done.stdout)["claims"] if OP.upper() in claim["id"]
    }


def test_the_steps_name_seven_files_and_one_of_them_is_there_already() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## An op\n")[1].split("\n## ")[0]
    steps = re.findall(r"^\d\. `([\w./<>]+)`", section, re.MULTILINE)
    assert sorted(steps) == sorted(FILES)
    assert len(steps) <= 7
    assert [name for name in FILES if (ROOT / name).exists()] == ["harness/falsifiers/baselines/torch_ops.py"]
    assert not [name for name in FILES if (ROOT / name.replace("<op>", OP)).exists() and "<op>" in name]


def test_every_contract_of_the_copy_validates(scratch: Path) -> None:
    done = called(scratch, "harness", "validate", "contracts/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 errors, 0 warnings" in done.stdout


def test_the_reference_is_pinned(scratch: Path) -> None:
    done = called(scratch, "pytest", "-q", "-p", "no:cacheprovider", f"tests/ops/test_{OP}.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_candidate_survives_and_the_mutants_die(scratch: Path) -> None:
    code, claims = run(scratch)
    assert code == 0
    assert {name: claim["verdict"] for name, claim in claims.items()} == {
        "FALSIFY-SOFTSIGN-001": "DISCHARGED",
        "FALSIFY-SOFTSIGN-BACKWARD-001": "DISCHARGED",
    }
    fates = {m["name"]: m["killed"] for claim in claims.values() for m in claim["mutants"]}
    assert {"root_for_absolute", "one_and_a_quarter", "square_missing"} <= set(fates)
    assert all(fates.values())


def test_a_wrong_candidate_is_falsified(scratch: Path) -> None:
    (scratch / "wrong.py").write_text(WRONG, encoding="utf-8")
    code, claims = run(scratch, "--candidate", "wrong.py")
    assert code == 1
    assert claims["FALSIFY-SOFTSIGN-001"]["verdict"] == "FALSIFIED"
    assert claims["FALSIFY-SOFTSIGN-BACKWARD-001"]["verdict"] == "DISCHARGED"


def test_a_program_may_be_asked_and_the_page_of_ops_has_it(scratch: Path) -> None:
    asked = "from harness.candidates.process import calls; print(calls.ops()['softsign'], calls.gradients('softsign'))"
    environment = {**os.environ, "PYTHONPATH": str(scratch)}
    done = subprocess.run([sys.executable, "-c", asked], cwd=scratch, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["x*", "['x']"], done.stderr
