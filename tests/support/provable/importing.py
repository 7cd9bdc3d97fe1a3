"""Run `harness import` in this process, and list the values that it lost."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from harness.commands.main import main

RENAMED = {"formula", "test"}
"""Keys whose value has a field of another name here: equations.<name>, unbound (docs/import.md)."""
ONE = "metadata: {version: 1.0.0}\nfalsification_tests:\n- {id: FALSIFY-A-001, rule: r, test: prose here}\n"
"""A contract of one test, as small as it can be."""


def scalars(value: Any) -> Counter[str]:
    """Count every value and every key of a document."""
    found: Counter[str] = Counter()
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            found.update(f"{key}:" for key in each if key not in RENAMED)
            todo += each.values()
        elif isinstance(each, list):
            todo += each
        else:
            found[str(each) if each != "" else "null"] += 1
    return found


def as_text(path: Path) -> Any:
    """Load the file with PyYAML's loader that reads every scalar as text, without Harness's code."""
    return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def nothing_lost(source: Path, contract: Path) -> Counter[str]:
    """Keys and values that the contract has less often than the source; empty if nothing was lost."""
    theirs, ours = scalars(as_text(source)), scalars(as_text(contract))
    # A heading that has nothing of its own below it; the key of a test in a map is a value here: id or key.
    lost = theirs - ours - Counter({"metadata:": 1, "equations:": 1})
    spare = ours - theirs
    return Counter({name: n for name, n in lost.items() if not (name[-1:] == ":" and spare[name[:-1] or "null"] >= n)})


def imported(folder: Path, *paths: Path, out: str = "out", more: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `harness import PATHS --out FOLDER/OUT`."""
    with contextlib.redirect_stdout(io.StringIO()) as text:
        code = main(["import", *map(str, paths), "--out", str(folder / out), "--json", *more])
    return code, json.loads(text.getvalue())
