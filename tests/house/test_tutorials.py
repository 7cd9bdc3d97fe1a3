"""The tutorials, run as a reader would: their files are written, their commands typed, their output compared."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import HARNESS, started
from tests.support.repository import ROOT

PAGES = [*(f"tutorials/{name}.md" for name in ("kernel", "port", "trainer", "release")), "guide/falsifier.md"]
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
SEED = re.compile(r"seed=\d+")


@pytest.mark.sample(2)
@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_does_what_it_says(page: str, tmp_path: Path) -> None:
    ran = 0
    for kind, title, text in BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if title:
            (tmp_path / title).write_text(text, encoding="utf-8")
        if kind == "console":
            for command, expected in dialogue(text):
                said = typed(command, tmp_path)
                missing = [line for line in expected if not holds(line, said)]
                assert not missing, f"{page}: $ {command}\n{missing}\nis not in\n{said}"
                ran += 1
    assert ran


def dialogue(text: str) -> Iterator[tuple[str, list[str]]]:
    """(command, lines of its output that the page shows)."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip().splitlines()
        yield command, [line for line in lines if line.strip() != "..."]


def typed(command: str, folder: Path) -> str:
    """What a command prints, in `folder`, with this interpreter for `harness` and `python`."""
    program, *rest = shlex.split(command)
    start = {"harness": HARNESS, "python": [sys.executable], "pytest": [sys.executable, "-m", "pytest"]}
    done = started([*start[program], *rest], folder, COLUMNS="200")
    return done.stdout + done.stderr


def holds(line: str, said: str) -> bool:
    """Whether a line was printed: counts and words as they stand, measured numbers and seeds whatever they are."""
    if re.match(r"\d+ [A-Z]", line):
        return re.search(re.escape(line).replace(r"\.\.\.", ".*"), said) is not None
    pattern = re.escape(SEED.sub("seed=1", line))
    pattern = NUMBER.sub(lambda _: NUMBER.pattern, pattern.replace("\\-", "-").replace("\\.", "."))
    return re.search(pattern, said) is not None
