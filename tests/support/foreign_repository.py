"""A user's repository whose packages have the names of Harness's packages and record every mistaken import."""

from __future__ import annotations

from pathlib import Path

PACKAGES = ("models", "formats", "reference", "falsifiers", "candidates", "consumers", "contracts", "tests")

NOTICE = '''"""Whose import this is: Harness may load what it is told to, by one module of its own."""

import sys

BINDS = "harness.subject.binding"


def look():
    """Raise if Harness imports the module that calls this, other than to bind a name of the user's."""
    frame = sys._getframe(2)
    while frame and frame.f_globals["__name__"].partition(".")[0] in ("importlib", "_frozen_importlib"):
        frame = frame.f_back
    name = frame.f_globals["__name__"] if frame else ""
    if name.partition(".")[0] == "harness" and name != BINDS:
        raise AssertionError(f"Harness took theirs for its own, in {name}")
'''
THEIRS = "from notice import look\n\nlook()\nWHOSE = 'theirs'\n"
TRAP = "raise AssertionError('Harness took theirs for its own: ' + __name__)\n"
TRAPS = (
    "models/stdlib_qwen2.py",
    "models/corpus.py",
    "formats/inspection.py",
    "formats/errors.py",
    "formats/gguf_export.py",
    "formats/safetensors_header.py",
    "reference/precision.py",
    "reference/ops/__init__.py",
    "falsifiers/ops.py",
    "falsifiers/baselines/__init__.py",
    "consumers/llama_cpp.py",
    "candidates/torch.py",
)
"""Files of names that Harness has too, which nothing of the user's imports."""

IMPORTS = '''
import importlib
from pathlib import Path

import reference
from falsifiers import WHOSE as falsifiers_whose
from formats import WHOSE as formats_whose
from models import cache

ROOT = Path(__file__).resolve().parents[1]


def all_theirs():
    """Every name that Harness has too means this repository's, at the top of a module and late."""
    found = [reference.WHOSE, formats_whose, falsifiers_whose, cache.WHOSE]
    for name in ("models", "formats", "reference", "falsifiers", "candidates", "consumers", "tests"):
        loaded = importlib.import_module(name)
        found.append(loaded.WHOSE)
        assert Path(loaded.__file__).resolve() == ROOT / name / "__init__.py", loaded.__file__
    return found == ["theirs"] * 11
'''
CANDIDATE = '''"""A kernel that doubles, and looks at each call where its imports come from."""
{imports}

def doubled(x):
    assert all_theirs()
    return x * {factor}


class Kernel:
    doubled = staticmethod(doubled)
'''
FALSIFIER = f'''"""Theirs: doubling."""
{IMPORTS}
from harness.observation import Observation


def check(subject, case, *, rows):
    assert all_theirs()
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.doubled(x), 2 * x))
'''
MUTANTS = '''"""Known-wrong doublings."""

from types import SimpleNamespace

import reference

assert reference.WHOSE == "theirs"


def tripled(baseline):
    """Three for two (synthetic)."""
    return SimpleNamespace(doubled=lambda x: 1.5 * baseline.doubled(x))


MUTANTS = {"tripled": tripled}
'''
CLAIM = """- id: {id}
  rule: doubling doubles
  prediction: three for two moves y by half
  falsifier: {falsifier}
  baseline: {baseline}
  explore: {{rows: {{boundary: [1, 60]}}}}
  examples: 12
  accept: {{max_abs_err: {{le: 1.0e-6, why: doubling is exact in float32}}}}
  mutants: [tripled]
  discharges_on: [cpu]
  budget_s: 5
  if_fails: look at doubled
"""
DOTTED, BY_PATH = "THEIRS-DOTTED-001", "THEIRS-BY-PATH-001"
CONTRACT = (
    """metadata: {id: theirs-doubling, version: 1.0.0, title: Doubling, description: Theirs.}
equations: {doubling: y = 2 x}
falsification_tests:
"""
    + CLAIM.format(id=DOTTED, falsifier="falsifiers.mine:check", baseline="reference.doubling")
    + CLAIM.format(id=BY_PATH, falsifier="../falsifiers/mine.py:check", baseline="../reference/doubling.py")
)
SHIP = f"""targets:
  doubling:
    title: Doubling ships
    criteria:
    - {{id: X1, title: doubles, weight: 1, effort_hours: 1, claims: [{DOTTED}, {BY_PATH}]}}
"""
THEIR_TEST = f'''"""Theirs."""
{IMPORTS}

def test_all_that_is_imported_here_is_theirs():
    assert all_theirs()
'''


def build(folder: Path) -> Path:
    """Write the repository; returns its folder."""
    _write(folder, "notice.py", NOTICE)
    for package in PACKAGES:
        _write(folder, f"{package}/__init__.py", THEIRS)
    for name in TRAPS:
        _write(folder, name, TRAP)
    _write(folder, "models/cache.py", "WHOSE = 'theirs'\n")
    _write(folder, "reference/doubling.py", "def doubled(x):\n    return x + x\n")
    _write(folder, "falsifiers/mine.py", FALSIFIER)
    _write(folder, "falsifiers/mutants/__init__.py", "")
    _write(folder, "falsifiers/mutants/mine.py", MUTANTS)
    for name, factor in (("kernel", "2"), ("wrong", "2.5")):
        _write(folder, f"candidates/{name}.py", CANDIDATE.format(imports=IMPORTS, factor=factor))
    _write(folder, "contracts/mine.yaml", CONTRACT)
    _write(folder, "contracts/ship.yaml", SHIP)
    _write(folder, "tests/test_theirs.py", THEIR_TEST)
    return folder


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
