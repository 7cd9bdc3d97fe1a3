"""Figures reach their page from the tests of every process, and only if all pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures import BEGIN, END, ROW, written
from tests.support.repository import ROOT

PAGE = f"# Title\n\n{BEGIN}\n\n| what | figure | again, alone |\n|---|---|---|\n\n{END}\n\nwords\n"
TESTS = """
import pytest

@pytest.mark.parametrize("n", [1, 2, 30])
def test_counts(n, figure):
    figure("inputs", n)
    figure("the slowest", n, "most")

def test_ends(figure):
    figure("never", 1)
    assert {ends}
"""


def test_new_figures_replace_old_ones_and_the_rest_stays() -> None:
    once = written(PAGE, {"b": (1_000_000, "tests/x.py"), "a": (0.5, "tests/y.py")})
    assert [(row["name"], row["value"]) for row in ROW.finditer(once)] == [("b", "1,000,000"), ("a", "0.5")]
    again = written(once, {"a": (7, "tests/y.py")})
    assert {row["name"]: row["value"] for row in ROW.finditer(again)} == {"b": "1,000,000", "a": "7"}
    assert again.endswith("\n\nwords\n")
    with pytest.raises(ValueError, match="found no"):
        written("words", {"a": (1, "tests/x.py")})


def session(folder: Path, ends: bool, *words: str) -> dict[str, str]:
    """The figures on the page after a session of the tests above."""
    page = folder / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_some.py").write_text(TESTS.format(ends=ends), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--rootdir", ".", "--figures", "page.md"]
    done = subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if ends else 1), done.stdout + done.stderr
    return {row["name"]: row["value"] for row in ROW.finditer(page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("words", [(), ("-n", "2")])
def test_a_session_adds_up_what_its_tests_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert session(tmp_path, True, *words) == {"inputs": "33", "the slowest": "30", "never": "1"}


def test_a_session_with_a_failure_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert session(tmp_path, False) == {}
