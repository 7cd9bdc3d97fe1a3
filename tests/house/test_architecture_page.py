"""docs/architecture.md: two screens long, and every room and file that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
SCREENS = 2
LINES = 50
"""Lines of a screen."""
IN_BLOCKS = re.compile(r"\b([a-z_]+(?:/[a-z_]+)+)(/?)(?=[\s,:;)]|$)")
IN_TEXT = re.compile(r"`((?:harness|contracts|tests|docs|benchmarks|run)/[\w./]*)`")


def missing(text: str) -> list[str]:
    """Names that lead to no file or folder: in diagrams as `room/file`, in prose between backticks."""
    fenced = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    named = [name for name, _ in IN_BLOCKS.findall(fenced)] + IN_TEXT.findall(text)
    return [name for name in dict.fromkeys(named) if not _exists(name)]


def _exists(name: str) -> bool:
    places = [ROOT / name, ROOT / "harness" / name]
    return any(place.exists() or place.with_name(place.name + ".py").exists() for place in places)


def test_every_file_that_the_page_names_exists() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(IN_BLOCKS.findall(text)) > 30
    assert missing(text) == []


def test_a_name_that_leads_nowhere_is_seen() -> None:
    text = "see `harness/nowhere/` and `harness/run/session.py`\n```\n → run/session → run/nothing    words\n```\n"
    assert missing(text) == ["run/nothing", "harness/nowhere/"]


def test_it_fits_two_screens() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= SCREENS * LINES
