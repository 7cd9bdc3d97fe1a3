"""The two ways that docs/architecture.md draws, followed in running code: calls go down the rooms, returns go up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from harness.commands.main import main
from tests.house.test_architecture import CONTENT, floor
from tests.house.test_architecture import room as room_of
from tests.support.laboratory import examine, shipped
from tests.support.repository import ROOT

HANDED_IN = {("run", "report")}
"""The progress display is an argument of the run."""
GROUND = floor("localisation") or 0
"""Content may call its subject, which is a boundary, and what stands at or below this floor."""


@cache
def room_of_file(name: str) -> str:
    parts = Path(name).relative_to(ROOT).with_suffix("").parts
    return room_of(".".join(parts).removesuffix(".__init__"), ROOT)


@contextmanager
def calls_between_rooms() -> Iterator[set[tuple[str, str]]]:
    """Every (room of the caller, room of the called function) while the block runs, within this process."""
    seen: set[tuple[str, str]] = set()
    house = str(ROOT / "harness")

    def place(frame: FrameType | None) -> str:
        """The room of the nearest frame of the house; a library in between (argparse, numpy) does not count."""
        while frame is not None and not frame.f_code.co_filename.startswith(house):
            frame = frame.f_back
        return "" if frame is None else room_of_file(frame.f_code.co_filename)

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(house) and frame.f_code.co_name != "<module>":
            caller, called = place(frame.f_back), place(frame)
            if caller and caller != called:
                seen.add((caller, called))

    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def upward(seen: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """The calls that go up, or from content into the engine beyond the boundary and the top files."""
    return [way for way in sorted(seen - HANDED_IN) if way[1] not in CONTENT and not _down(*way)]


def _down(caller: str, called: str) -> bool:
    if caller in CONTENT:
        return called == "subject" or (floor(called) or 0) <= GROUND
    return (floor(called) or 0) < (floor(caller) or 0)


def follow(action: Callable[[], object]) -> set[tuple[str, str]]:
    with calls_between_rooms() as seen:
        action()
    return seen


def test_an_array_goes_from_the_boundary_to_the_judge_and_never_back(tmp_path: Path) -> None:
    claim, mutants = shipped("FALSIFY-SOFTMAX-STATE-001")
    seen = follow(lambda: examine(claim, mutants, tmp_path))
    assert {("trial", "falsifiers"), ("falsifiers", "subject"), ("subject", "candidates"), ("trial", "judging")} <= seen
    assert upward(seen) == []


def test_a_contracts_path_goes_down_the_rooms_and_comes_back_by_returns_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["run", "builtin:ops/softmax.yaml", "-k", "softmax-state", "--evidence", str(tmp_path / "evidence")]
    seen = follow(lambda: main(words))
    assert "PARTIAL" in capsys.readouterr().out
    ways = {
        ("commands", "run"),
        ("run", "contract"),
        ("run", "evidence"),
        ("evidence", "judging"),
        ("commands", "report"),
    }
    assert ways <= seen
    assert upward(seen) == []


def test_a_call_back_up_is_seen() -> None:
    planted = {("run", "commands"), ("judging", "trial"), ("falsifiers", "trial")}
    assert upward(planted | {("trial", "judging"), ("falsifiers", "subject")}) == sorted(planted)
