"""The gate holds evidence against what is at hand: sealed, consistent evidence of anything else opens nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.evidence import verify
from harness.falsifiers.itself.edits import run_of
from harness.falsifiers.itself.shop import DOUBLES
from harness.falsifiers.itself.stale import STALE, Stale
from tests.evidence.forging import gate

WITHOUT_A_WORD = Stale(lambda home: (home / "harness.toml").unlink(), "", "is of candidate good.py .* is torch")
"""No candidate is named anywhere, so the default one ships."""


@pytest.mark.parametrize("name", [*STALE, "the default candidate"])
def test_evidence_of_anything_else_is_stale(home: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    change, candidate, told = STALE.get(name, WITHOUT_A_WORD)
    words = ["--candidate", candidate] if candidate else []
    change(home)
    assert verify.check(run_of(home)) == []
    assert gate(*words) == 3
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("X1 ")]
    assert re.search(rf"^X1 STALE: {DOUBLES}: STALE \(.*{told}", line), line
    assert "CLOSED" in out


@pytest.mark.parametrize("name", ["an edited candidate", "another table", "another limit at hand", "an old NumPy"])
def test_what_is_here_and_differs_is_never_trusted(home: Path, name: str) -> None:
    STALE[name].change(home)
    assert gate("--trust-missing") == 3
