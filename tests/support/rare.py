"""A contract whose fixed cases miss two rare bugs, which a search finds: one size, and one range of values."""

from __future__ import annotations

import itertools
from pathlib import Path

from harness.contract.cases import plan, untried
from harness.contract.claim import Claim

FALSIFIERS = '''
import numpy as np
from harness.observation import Observation

def softmax(subject, case, *, rows, level):
    x = case.array("x", lambda: level + case.stream("x").standard_normal((rows, 9)))
    wide = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return Observation(y=(subject.softmax(x), wide / wide.sum(-1, keepdims=True)))

def unscaled(baseline):
    """The sum left out."""
    from types import SimpleNamespace
    return SimpleNamespace(softmax=lambda x: np.exp(x - x.max(-1, keepdims=True)))

MUTANTS = {"unscaled": unscaled}
'''
RIGHT = """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)
"""
BUGS = {
    "one_size": "return right(x) * (1.01 if len(x) == 13 else 1)",
    "one_range": "return np.where(x.max(-1, keepdims=True) <= -300, 0, right(x)).astype(x.dtype)",
    "raises": "if len(x) == 13: raise ValueError('no kernel for 13')\n    return right(x)",
    "hangs": "if len(x) == 13: time.sleep(600)\n    return right(x)",
    "dies": "if len(x) == 13: os._exit(3)\n    return right(x)",
}
"""Candidate -> the body of its softmax, on 13 rows or on rows whose maximum is at most -300."""
CONTRACT = """metadata: {id: rare, version: 1.0.0, title: t, description: d, references: [], depends_on: []}
equations: {softmax: y = softmax x}
falsification_tests:
- id: FALSIFY-RARE-001
  rule: y is the softmax of x
  prediction: it is
  falsifier: own.py:softmax
  baseline: base.py
  explore: {rows: {boundary: [1, 60]}, level: {choices: [-20.0, 0.0]}}
  examples: 20
  scale: 1
  accept:
    err_ratio: {le: 2.0, why: the same arithmetic}
    worst_ratio: {le: 4.0, why: the same arithmetic}
  mutants: [unscaled]
  discharges_on: [cuda]
  budget_s: 0.1
  if_fails: look at softmax
"""
CLAIM = "FALSIFY-RARE-001"


def lay(folder: Path) -> None:
    """Write the contract to `folder/c`, and the candidates beside it: good.py and one per bug."""
    (folder / "c").mkdir(parents=True)
    (folder / "c" / "own.py").write_text(FALSIFIERS, encoding="utf-8")
    (folder / "c" / "base.py").write_text(RIGHT, encoding="utf-8")
    (folder / "c" / "rare.yaml").write_text(CONTRACT, encoding="utf-8")
    (folder / "good.py").write_text(RIGHT, encoding="utf-8")
    for name, body in BUGS.items():
        text = f"import os, time\n{RIGHT}\nright = softmax\ndef softmax(x):\n    {body}\n"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def seed_that_tries_first(claim: Claim, rows: int) -> int:
    """A seed whose search tries this number of rows first, after fixed cases that do not have it."""
    return next(seed for seed in itertools.count() if untried(claim, seed, plan(claim, seed))["rows"][0] == rows)
