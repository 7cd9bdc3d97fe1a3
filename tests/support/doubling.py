"""Test claims that y is twice x: sound and faulty falsifiers, a correct candidate, contracts."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

from harness.falsifiers.itself import shop
from tests.support.command import light

FALSIFIERS = (
    shop.FALSIFIERS
    + """
import ctypes, os

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
"""
)
SHIP = """targets:
  doubling:
    title: Doubling ships
    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: nothing yet, weight: 1, effort_hours: 2, claims: [], open: [all of it]}
"""


def contract(folder: Path, name: str, claims: list[str], after: str = "", on: str = "cpu") -> None:
    """A contract of the falsifiers named in `claims`; `after` is what it depends on."""
    shop.contract(folder, name, claims, after, on, FALSIFIERS)


def mixed(folder: Path, *claims: str) -> None:
    """A contract `c/mixed.yaml` of some falsifiers and a right candidate, below `folder`."""
    contract(folder / "c", "mixed", list(claims))
    (folder / "good.py").write_text(shop.CANDIDATE, encoding="utf-8")


def unhurried(folder: Path, *claims: str) -> None:
    """The same with ten minutes a claim, for tests that start many runs at once or are short of a processor."""
    mixed(folder, *claims)
    path = folder / "c" / "mixed.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("budget_s: 1", "budget_s: 60"), encoding="utf-8")


def doubling(folder: Path) -> CompletedProcess[str]:
    """One contract, ship.yaml, candidates right, wrong and lacking; returns the finished run of the right one."""
    contract(folder / "contracts", "doubling", ["doubles"])
    (folder / "contracts" / "ship.yaml").write_text(SHIP, encoding="utf-8")
    (folder / "good.py").write_text(shop.CANDIDATE, encoding="utf-8")
    (folder / "bad.py").write_text("def double(x):\n    return x * 2.001\n", encoding="utf-8")
    (folder / "none.py").write_text("def triple(x):\n    return x * 3\n", encoding="utf-8")
    done = light(folder, "run", "contracts", "--candidate", "good.py", "--json")
    assert done.returncode == 0, done.stderr
    return done
