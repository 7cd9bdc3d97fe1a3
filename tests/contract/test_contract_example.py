"""The contract of the design page validates, and so does what it binds."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.names.resolve import bind
from harness.contract.validate import Checked, check
from harness.errors import UserError

FALSIFIER = """
MEASURES = {"val_loss": "mean loss", "ln_vocab": "ln of the vocabulary"}
INPUTS = {"rmsnorm": "builders.py:rmsnorm"}

def parity(subject, case, *, op, **params): ...
def plain(subject, case, *, hidden, eps=1e-6): ...
def one(subject): ...
class Kind: ...

MUTANTS = {"eps_hardcoded_1e-5": None, "eps_outside_sqrt": None, "cache_key_ignores_eps": None}
"""
BUILDERS = "def rmsnorm(case, *, hidden, rows, eps, std=1.0): ...\n"
CONTRACT = """\
metadata:
  id: rmsnorm-eps-threading
  version: 1.0.0
  title: RMSNorm uses the model's rms_norm_eps
  description: every call site threads the eps of the config
  references: ["arXiv:1910.07467"]
  depends_on: []
equations:
  rmsnorm: y = x / sqrt(mean(x^2) + eps) * w
falsification_tests:
- id: FALSIFY-RMSNORM-EPS-001
  rule: Output matches the reference at the configured eps on activations as small as embeddings
  prediction: with eps hard-coded to 1e-5 the output moves by about 1e-2 at std 0.02
  falsifier: stub.py:parity
  baseline: torch_ops.py
  given: {op: rmsnorm, hidden: 896}
  explore: {eps: {choices: [1.0e-6, 1e-5]}, rows: {boundary: [1, 129]}, std: {choices: [0.02, 1.0]}, dtype: {choices: [float32, bfloat16]}}
  examples: 40
  accept:
    max_abs_err: {le: 1.0e-4, when: {dtype: float32}, why: round-off is 1e-6 here; the eps bug moves y by 1e-2}
    err_ratio:   {le: 2.0, why: pooled error at most twice torch's in the same dtype}
    worst_ratio: {le: 4.0, why: no single case far out}
  mutants: [eps_hardcoded_1e-5, eps_outside_sqrt, cache_key_ignores_eps]
  discharges_on: [cuda]
  ship_blocking: true
  budget_s: 30
  if_fails: look for a kernel constructed without its eps, or a cache key without eps bits
"""  # noqa: E501


def lay(folder: Path, contract: str = CONTRACT, name: str = "rmsnorm.yaml", **files: str) -> Path:
    """Write a contract and what it binds; extra files by their name without .py."""
    for stem, text in {"stub": FALSIFIER, "builders": BUILDERS, "torch_ops": "", **files}.items():
        (folder / f"{stem}.py").write_text(text)
    (folder / name).write_text(contract)
    return folder / name


def told(checked: Checked) -> list[str]:
    """Problems as printed, with the file's name alone."""
    return [str(problem).removeprefix(f"{Path(problem.file).parent}/") for problem in checked.problems]


def test_the_example_validates_and_binds(tmp_path: Path) -> None:
    checked = check([lay(tmp_path)])
    assert told(checked) == []
    assert [contract.id for contract in checked.contracts] == ["rmsnorm-eps-threading"]
    binding = checked.bindings["FALSIFY-RMSNORM-EPS-001"]
    assert (Path(binding.falsifier.file).name, binding.falsifier.name, binding.falsifier.line) == (
        "stub.py",
        "parity",
        5,
    )
    assert binding.mutants["eps_outside_sqrt"] == "stub.py:eps_outside_sqrt"
    assert binding.measures == ("ln_vocab", "val_loss")
    assert binding.inputs is not None
    assert binding.inputs.name == "rmsnorm"
    claim = checked.contracts[0].claims[0]
    assert (claim.line, claim.explore["eps"]["choices"]) == (11, [1e-6, 1e-5])
    assert bind(claim) == binding


def test_bind_raises_one_line_when_the_falsifier_is_gone(tmp_path: Path) -> None:
    claim = check([lay(tmp_path)]).contracts[0].claims[0]
    (tmp_path / "stub.py").unlink()
    with pytest.raises(UserError, match=r"rmsnorm\.yaml:11: FALSIFY-RMSNORM-EPS-001: .*no file .*stub\.py"):
        bind(claim)


def test_the_names_of_the_stated_package_resolve_without_an_import(tmp_path: Path) -> None:
    text = CONTRACT.replace("stub.py:parity", "harness.falsifiers.ops:parity").replace(
        "torch_ops.py", "harness.falsifiers.baselines.torch_ops"
    )
    checked = check([lay(tmp_path, text.replace("eps_hardcoded_1e-5", "no_such_mutant"))])
    assert [line for line in told(checked) if "'no_such_mutant'" not in line] == []
    assert "harness/falsifiers/ops/mutants/rmsnorm.py" in str(checked.problems[0])
