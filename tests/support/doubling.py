"""Test claims that y is twice x: sound and faulty falsifiers, a correct candidate, contracts."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

from tests.support.command import light

FALSIFIERS = '''
import ctypes, os, time
import numpy as np
from harness.observation import Observation

def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def slowly(subject, case, *, rows):
    time.sleep(0.4)
    return doubles(subject, case, rows=rows)

def segfaults(subject, case, *, rows):
    ctypes.string_at(0)

def hangs(subject, case, *, rows):
    time.sleep(600)

def eats_memory(subject, case, *, rows):
    held = []
    while True:
        held.append(np.ones(1 << 22))

def exits(subject, case, *, rows):
    os._exit(0)

def raises(subject, case, *, rows):
    raise RuntimeError("no such kernel")

def triples(baseline):
    """Three for two."""
    from types import SimpleNamespace
    return SimpleNamespace(double=lambda x: 3 * x)

MUTANTS = {"triples": triples}
'''
CANDIDATE = "def double(x):\n    return x + x\n"
HEAD = """metadata: {{id: {id}, version: 1.0.0, title: t, description: d, references: [], depends_on: [{after}]}}
equations: {{double: y = 2 x}}
falsification_tests:
"""
CLAIM = """- id: {id}
  rule: y is twice x
  prediction: it is
  falsifier: own.py:{falsifier}
  baseline: base.py
  explore: {{rows: {{boundary: [1, 5]}}}}
  examples: 4
  accept:
    rel_l2_err: {{le: 1.0e-6, why: doubling is exact}}
  mutants: [triples]
  discharges_on: [{on}]
  budget_s: 1
  if_fails: look at double
"""
SHIP = """targets:
  doubling:
    title: Doubling ships
    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: nothing yet, weight: 1, effort_hours: 2, claims: [], open: [all of it]}
"""
DOUBLES, SLOWLY = "FALSIFY-DOUBLES-001", "FALSIFY-SLOWLY-001"


def contract(folder: Path, name: str, claims: list[str], after: str = "", on: str = "cpu") -> None:
    """A contract of the falsifiers named in `claims`; `after` is what it depends on."""
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text(FALSIFIERS, encoding="utf-8")
    (folder / "base.py").write_text(CANDIDATE, encoding="utf-8")
    text = HEAD.format(id=name, after=after)
    text += "".join(CLAIM.format(id=f"FALSIFY-{c.upper()}-001".replace("_", "-"), falsifier=c, on=on) for c in claims)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def mixed(folder: Path, *claims: str) -> None:
    """A contract `c/mixed.yaml` of some falsifiers and a right candidate, below `folder`."""
    contract(folder / "c", "mixed", list(claims))
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")


def doubling(folder: Path) -> CompletedProcess[str]:
    """One contract, ship.yaml, candidates right, wrong and lacking; returns the finished run of the right one."""
    contract(folder / "contracts", "doubling", ["doubles"])
    (folder / "contracts" / "ship.yaml").write_text(SHIP, encoding="utf-8")
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    (folder / "bad.py").write_text("def double(x):\n    return x * 2.001\n", encoding="utf-8")
    (folder / "none.py").write_text("def triple(x):\n    return x * 3\n", encoding="utf-8")
    done = light(folder, "run", "contracts", "--candidate", "good.py", "--json")
    assert done.returncode == 0, done.stderr
    return done
