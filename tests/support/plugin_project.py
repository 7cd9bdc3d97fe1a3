"""A user's project with a claim of each verdict, on which tests run pytest with the plugin as a user does."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from harness.evidence import store, verify
from tests.support.command import started
from tests.support.repository import NUMPY_ALONE

FALSIFIERS = '''
import os, sys, time
from types import SimpleNamespace
import numpy as np
from harness.observation import Observation

def doubles(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def halves(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.halve(x), x.astype(np.float64) / 2))

def asks_much(subject, case):
    return Observation(y=(subject.triple(np.ones(3)), np.full(3, 3.0)))

def expects_another(subject, case):
    x = case.normal("x", (3, 8))
    return Observation(y=(subject.double(x), 5 * x.astype(np.float64)))

def raises(subject, case):
    raise RuntimeError("no such kernel")

def slowly(subject, case):
    time.sleep(0.7)  # over the candidate and five others: long enough to be interrupted
    return doubles(subject, case)

def on_weights(subject, case, *, weights):
    return doubles(subject, case)

def build():
    print("training: step 1 of 2, loss 5.00", file=sys.stderr, flush=True)
    return os.getcwd()

def triples(baseline):
    """Three for two."""
    return SimpleNamespace(double=lambda x: 3 * x, halve=lambda x: 3 * x)

def as_it_is(baseline):
    """Not wrong at all."""
    return baseline

MUTANTS = {"triples": triples, "as_it_is": as_it_is}
'''
BASE = "def double(x):\n    return x + x\n\ndef halve(x):\n    return x / 2\n"
MINE = "def double(x):\n    return x + x\n\ndef halve(x):\n    return x * 0.4\n"
HEAD = """metadata: {{id: {id}, version: 1.0.0, depends_on: [{after}]}}
falsification_tests:
"""
CLAIM = """- id: {id}
  rule: y is what it is called
  prediction: it is
  falsifier: own.py:{falsifier}
  baseline: base.py
  {given}
  accept:
    rel_l2_err: {{le: {bound}, why: one multiplication}}
  mutants: [{mutant}]
  discharges_on: [{on}]
  budget_s: 1
  if_fails: look at {falsifier}
"""


def claim(id_: str, falsifier: str = "doubles", **changed: str) -> str:
    """One claim's YAML; it is DISCHARGED on a CPU unless something is changed."""
    fields = {"bound": "1.0e-6", "mutant": "triples", "on": "cpu", "given": "examples: 1"}
    return CLAIM.format(id=id_, falsifier=falsifier, **{**fields, **changed})


def contract(id_: str, *claims: str, after: str = "") -> str:
    """A contract's YAML; `after` is the contract that it depends on."""
    return HEAD.format(id=id_, after=after) + "".join(claims)


def command(*args: str) -> list[str]:
    """The words that start pytest on the CPU, without a cache folder and without others' plugins that load slowly."""
    without = [word for name in ("cacheprovider", "hypothesispytest", "anyio") for word in ("-p", f"no:{name}")]
    return [sys.executable, "-m", "pytest", *without, "--harness-device", "cpu", *args]


def run(folder: Path, *args: str, ini: str = "/dev/null", **settings: str) -> tuple[int, str]:
    """pytest as a user without torch runs it in `folder`; exit code and output. `settings` go to its environment."""
    done = started(command("--rootdir", str(folder), "-c", ini, *args), folder, **{**NUMPY_ALONE, **settings})
    return done.returncode, done.stdout + done.stderr


def outcomes(report: Path) -> dict[str, str]:
    """Claim -> passed, skipped, failure or error, as a JUnit file has it."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    kinds = ("skipped", "failure", "error")
    return {str(c.get("name")): next((k for k in kinds if c.find(k) is not None), "passed") for c in cases}


def sealed(folder: Path) -> Path:
    """The one run of a folder, which verifies."""
    [found] = (folder / "evidence").iterdir()
    assert verify.check(found) == []
    return found


def verdicts(run_: Path) -> dict[str, str]:
    """Claim -> verdict, as a sealed run has it."""
    return {row["id"]: row["verdict"] for row in store.read_json(run_ / "run.json")["claims"]}


def write_project(folder: Path) -> Path:
    """Falsifiers, a baseline and a candidate whose `halve` is wrong, in a folder; the folder."""
    for name, text in {"own.py": FALSIFIERS, "base.py": BASE, "mine.py": MINE}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "harness.toml").write_text('candidate = "mine.py"\n', encoding="utf-8")
    return folder
