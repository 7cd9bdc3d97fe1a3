"""Text that wants to be more than text, and what a terminal or a CI's runner would obey in a command's output."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import yaml

TITLE, RED, TAG, STOP, BIDI = "\x1b]0;owned\x07", "[red]", "<script>owned()</script>", "::stop-commands::x", "\u202e"
COMMANDS = (
    "::error::x",
    "  ::set-output name=a::b",
    "\u3000::add-mask::x",
    "::stop-commands::x",
    "words ##[error]x",
    "##[add-mask]x",
    "##vso[task.setvariable variable=a]b",
    "###[error]x",
    "##teamcity[buildStatus]",
)
HOSTILE = (
    TITLE,
    f"{RED}text[/red] [link=http://owned]x[/link] :boom:",
    TAG,
    f"a\n{STOP}\n::error::owned",
    f"{BIDI}txet\u2066\u200b",
    "lone \ud800 surrogate",
    "nul \x00 del \x7f csi \x9b31m",
    "a\r\n::warning::owned\u2028\u0085::error::owned",
    "[x](javascript:owned) ![y](http://owned/z.png) <http://owned> https://owned @everyone #1",
    "| a | b |\n|---|---|\n# heading\n```\n`tick",
    *COMMANDS,
)


def obeyed(output: str) -> list[str]:
    """What in a command's output a terminal or a runner would take for more than text."""
    found = [repr(c) for c in output if c not in "\n\t" and not c.isprintable() and unicodedata.category(c) != "Zs"]
    for line in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", output):
        if line.lstrip().startswith("::") or re.search(r"##\w*\[", line):
            found.append(line)
    return found


WORDS = " ".join(HOSTILE).replace("\ud800", "")
"""All of it in one text that UTF-8 can carry."""
NAME = "kern\x1b]0;owned\x07[red]\u202e<b>::error::x ##[error]x.py"
"""The name of a candidate's file."""
PRINTS = 50 << 20
FALSIFIERS = f'''
import numpy as np
from types import SimpleNamespace
from harness.observation import Observation

def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def speaks(subject, case, *, rows):
    raise RuntimeError({WORDS!r})

def shouts(subject, case, *, rows):
    raise RuntimeError("x" * 10_000_000)

def surrogates(subject, case, *, rows):
    raise RuntimeError("half \\\\ud800 of one")

def prints(subject, case, *, rows):
    import os
    os.write(1, b"begun\\n")
    for _ in range({PRINTS >> 20}):
        os.write(1, b"y" * ((1 << 20) - 1) + b"\\n")
    os.write(2, b"ended\\n")
    return doubles(subject, case, rows=rows)

def triples(baseline):
    """Three for two {TAG} {BIDI}."""
    return SimpleNamespace(double=lambda x: 3 * x)

MUTANTS = {{"triples": triples}}
'''
GOOD = "def double(x):\n    return x + x\n"
CANDIDATE = f"import sys\nprint({WORDS!r})\nprint({STOP!r}, file=sys.stderr)\n{GOOD}"
WRONG = f"print({WORDS!r})\ndef double(x):\n    print({STOP!r})\n    return x * 2.01\n"


def claim(name: str) -> dict[str, Any]:
    """One claim; every text in it is hostile."""
    return {
        "id": f"FALSIFY-{name.upper()}-001",
        "rule": f"y is twice x {WORDS}",
        "prediction": WORDS,
        "falsifier": f"own.py:{name}",
        "baseline": "base.py",
        "explore": {"rows": {"boundary": [1, 5]}},
        "examples": 2,
        "accept": {"rel_l2_err": {"le": 1e-6, "why": WORDS}},
        "mutants": ["triples"],
        "discharges_on": ["cpu"],
        "budget_s": 5,
        "if_fails": WORDS,
    }


def build(folder: Path, *claims: str) -> None:
    """Contracts, ship.yaml and a candidate whose file has a hostile name, and which prints when it is imported."""
    (folder / "contracts").mkdir(parents=True)
    (folder / "contracts/own.py").write_text(FALSIFIERS, encoding="utf-8")
    (folder / "contracts/base.py").write_text(GOOD, encoding="utf-8")
    head = {"id": "words", "version": "1.0.0", "title": WORDS, "description": WORDS, "references": [WORDS]}
    contract = {"metadata": head, "equations": {"y": WORDS}, "falsification_tests": [claim(name) for name in claims]}
    (folder / "contracts/words.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    ids = [f"FALSIFY-{name.upper()}-001" for name in claims]
    criteria = [{"id": "X1", "title": WORDS, "weight": 1, "effort_hours": 1, "claims": ids, "open": [WORDS]}]
    ship = {"targets": {"all": {"title": WORDS, "criteria": criteria}}}
    (folder / "contracts/ship.yaml").write_text(yaml.safe_dump(ship), encoding="utf-8")
    (folder / NAME).write_text(CANDIDATE, encoding="utf-8")
