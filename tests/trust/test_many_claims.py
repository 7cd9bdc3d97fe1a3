"""A run of many claims holds no more memory, files and processes at its end than at its beginning."""

from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from harness.evidence import store
from harness.falsifiers.itself.shop import CANDIDATE, CLAIM, FALSIFIERS, HEAD
from tests.support.command import HARNESS
from tests.support.repository import NUMPY_ALONE, environment

PER_CONTRACT = 100
GROWTH = 1.25
"""The second half of a run may hold this many times what the first half held; its results are a few kB a claim."""
ROOM = 64 << 20


class Held(NamedTuple):
    """What the run's process and those below it held at one moment."""

    memory: int
    files: int
    processes: int


def contracts(folder: Path, count: int) -> None:
    """Contracts of a hundred claims each; every claim is right."""
    (folder / "c").mkdir()
    (folder / "c" / "own.py").write_text(FALSIFIERS, encoding="utf-8")
    (folder / "c" / "base.py").write_text(CANDIDATE, encoding="utf-8")
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    for first in range(0, count, PER_CONTRACT):
        ids = [f"FALSIFY-D{i}-001" for i in range(first, min(first + PER_CONTRACT, count))]
        claims = "".join(CLAIM.format(id=each, falsifier="doubles", on="cpu") for each in ids)
        text = HEAD.format(id=f"c{first}", after="") + claims.replace("budget_s: 1", "budget_s: 60")
        (folder / "c" / f"c{first}.yaml").write_text(text, encoding="utf-8")


def held(process: psutil.Process) -> Held | None:
    """What a run holds now; None if it just ended."""
    with contextlib.suppress(psutil.Error):
        return Held(process.memory_info().rss, process.num_fds(), len(process.children(recursive=True)))
    return None


def watched(folder: Path) -> list[Held]:
    """Run all contracts, and look every tenth of a second what the run's process holds."""
    with (folder / "said").open("wb") as said:
        run = subprocess.Popen(
            [*HARNESS, "run", "c", "--candidate", "good.py", "-j", "2"],
            cwd=folder,
            env=environment(**NUMPY_ALONE),
            stdout=said,
            stderr=said,
        )
        process, found = psutil.Process(run.pid), []
        while run.poll() is None:
            if _begun(folder):
                found.append(held(process))
            time.sleep(0.1)
    assert run.returncode == 0, (folder / "said").read_text(encoding="utf-8")[-2000:]
    return [each for each in found if each]


def _begun(folder: Path) -> bool:
    """Whether a claim has ended."""
    return any(next(path.iterdir(), None) for path in (folder / "evidence").glob("*.partial/claims"))


@pytest.mark.sample(1)
@pytest.mark.parametrize("count", [200, 10_000])
def test_memory_files_and_processes_stay_flat(tmp_path: Path, count: int, figure: Any) -> None:
    contracts(tmp_path, count)
    seen = watched(tmp_path)
    run = store.sealed(tmp_path / "evidence")
    assert sum(1 for _ in (run / "claims").iterdir()) == count
    assert len(seen) > 10
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    for part, room in (("memory", ROOM), ("files", 8), ("processes", 2)):
        before, after = (max(getattr(each, part) for each in half) for half in (first, second))
        assert after <= GROWTH * before + room, (part, before, after)
    name = f"{count:,} claims in one run"
    figure(f"{name}: memory at most, MB", round(max(each.memory for each in seen) / 2**20), "most")
    figure(f"{name}: growth of memory from the first half to the second, MB", _growth(first, second), "most")
    figure(f"{name}: open files at most", max(each.files for each in seen), "most")
    figure(f"{name}: processes at most", max(each.processes for each in seen), "most")


def _growth(first: list[Held], second: list[Held]) -> int:
    return round((max(each.memory for each in second) - max(each.memory for each in first)) / 2**20)
