"""A claim's log keeps its first and its last half megabyte, counts the rest, and fills no disk while the claim runs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from harness.run import log as logs
from harness.run.log import HALF, Logs

LOG = "log.txt"


def appended(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


@pytest.mark.parametrize("size", [0, 1, HALF, 2 * HALF])
def test_a_log_of_a_megabyte_stays_as_it_is(tmp_path: Path, size: int) -> None:
    path, content = tmp_path / LOG, os.urandom(size)
    appended(path, content)
    Logs([path], 1).end(path)
    assert path.read_bytes() == content


def test_of_a_longer_one_the_middle_is_counted(tmp_path: Path) -> None:
    path, content = tmp_path / LOG, os.urandom(2 * HALF + 1)
    appended(path, content)
    Logs([path], 1).end(path)
    told = b"\n... 1 bytes are left out here ...\n"
    assert path.read_bytes() == content[:HALF] + told + content[-HALF:]
    Logs([tmp_path / "none"], 1).end(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("later", [0, 5, HALF - 1, HALF, HALF + 7, 3 * HALF])
def test_a_log_that_is_cut_while_it_grows_loses_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    monkeypatch.setattr(logs, "FULL", 3 * HALF)
    monkeypatch.setattr(logs, "EVERY_S", 0.01)
    path, first, last = tmp_path / LOG, os.urandom(4 * HALF), os.urandom(later)
    with Logs([path, tmp_path / "waits"], 1) as watched:
        appended(path, first)
        until = time.monotonic() + 20
        while path.stat().st_size > HALF:
            assert time.monotonic() < until, "the log was never cut"
            time.sleep(0.01)
        appended(path, last)
        watched.end(path)
    kept = path.read_bytes()
    found = re.search(rb"\n\.\.\. (\d+) bytes are left out here \.\.\.\n", kept[HALF : HALF + 100])
    assert found
    assert kept[:HALF] == first[:HALF]
    assert kept[HALF + found.end() :] == (first + last)[-HALF:]
    assert int(found[1]) == 4 * HALF + later - 2 * HALF


def test_a_later_log_is_watched_once_an_earlier_one_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FULL", 3 * HALF)
    monkeypatch.setattr(logs, "EVERY_S", 0.01)
    early, late = tmp_path / "a", tmp_path / "b"
    with Logs([early, late], 1) as watched:
        appended(early, b"x")
        watched.end(early)
        appended(late, bytes(4 * HALF))
        until = time.monotonic() + 20
        while late.stat().st_size > HALF:
            assert time.monotonic() < until, "the log was never cut"
            time.sleep(0.01)
