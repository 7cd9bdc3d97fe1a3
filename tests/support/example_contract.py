"""The contract from the design page, and stubs of the functions that it binds."""

from __future__ import annotations

from pathlib import Path

from harness.contract.validate import Checked

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
  held: {hidden: the width of the model}
"""  # noqa: E501


def lay(folder: Path, contract: str = CONTRACT, name: str = "rmsnorm.yaml", **files: str) -> Path:
    """Write a contract and what it binds, and further files by their name without .py; returns the contract's path."""
    for stem, text in {"stub": FALSIFIER, "builders": BUILDERS, "torch_ops": "", **files}.items():
        (folder / f"{stem}.py").write_text(text)
    (folder / name).write_text(contract)
    return folder / name


def told(checked: Checked) -> list[str]:
    """Problems as printed, with the file's name alone."""
    return [str(problem).removeprefix(f"{Path(problem.file).parent}/") for problem in checked.problems]
