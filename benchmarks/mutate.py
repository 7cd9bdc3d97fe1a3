"""Mutation testing of what judges, verifies, gates and checks gradients: each surviving edit has a reason, or it fails.

    python benchmarks/mutate.py [PATTERN...] [--children 2]

mutmut makes the edits in `mutants/` and runs the fast tests that pyproject.toml names; a run that was stopped goes on
where it was. PATTERN names functions as mutmut does (`harness.judging.ship*`); without one all files are asked, which
takes an hour or more. `benchmarks/survivors.yaml` has the reason of each edit that no test can see: the function, the
line that was and the line that is. 1 if an edit survived without a reason, or if no edit was tried.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]
SURVIVORS = ROOT / "benchmarks" / "survivors.yaml"
RESULT = re.compile(r"^\s+(?P<name>\S+__mutmut_\d+): (?P<status>.+)$", re.MULTILINE)
GOOD = ("killed", "caught by type check")
UNTRIED = ("not checked",)


class Edit(NamedTuple):
    """One edit of a function: its lines before and after, without indentation."""

    function: str
    was: str
    now: str


def main() -> int:
    """Run mutmut, then hold its survivors against the explained ones."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("patterns", nargs="*")
    ask.add_argument("--children", type=int, default=2)
    asked = ask.parse_args()
    _mutmut("run", "--max-children", str(asked.children), *asked.patterns, shown=True)
    tried = [(name, status) for name, status in results(_mutmut("results", "--all", "true")) if status not in UNTRIED]
    tried = [each for each in tried if not asked.patterns or any(fnmatch.fnmatch(each[0], p) for p in asked.patterns)]
    alive = {name: edit(name, _mutmut("show", name)) for name, status in tried if status not in GOOD}
    known = explained(yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or [])
    open_ = {name: found for name, found in alive.items() if found not in known}
    for name, found in open_.items():
        print(f"{name}: survived, and {SURVIVORS.name} has no reason\n  - {found.was}\n  + {found.now}")
    print(f"{len(tried)} edits, {len(alive)} survived, {len(open_)} of them unexplained")
    return 1 if open_ or not tried else 0


def results(text: str) -> list[tuple[str, str]]:
    """(mutant, status) of `mutmut results --all true`."""
    return [(found["name"], found["status"]) for found in RESULT.finditer(text)]


def edit(name: str, shown: str) -> Edit:
    """The edit that `mutmut show NAME` prints as a diff."""
    lines = shown.splitlines()
    was, now = (" ".join(_changed(lines, sign)) for sign in "-+")
    return Edit(name.rpartition("__mutmut_")[0], was, now)


def explained(entries: Iterable[dict[str, str]]) -> set[Edit]:
    """The edits with a reason.

    Raises: ValueError for an entry without one.
    """
    found = set()
    for entry in entries:
        if len(entry["why"].split()) < 4:
            raise ValueError(f"{SURVIVORS.name}: {entry['function']}: found why {entry['why']!r}, expected a reason")
        found.add(Edit(entry["function"], entry["was"], entry["now"]))
    return found


def _changed(lines: list[str], sign: str) -> Iterator[str]:
    return (line[1:].strip() for line in lines if line.startswith(sign) and not line.startswith(sign * 3))


def _mutmut(*words: str, shown: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        cwd=ROOT,
        text=True,
        check=False,
        stdout=None if shown else subprocess.PIPE,
    )
    return done.stdout or ""


if __name__ == "__main__":
    sys.exit(main())
