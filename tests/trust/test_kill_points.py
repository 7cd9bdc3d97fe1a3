"""kill -9 at every step of writing a run: no finished claim is lost, nothing half-written is sealed, and it goes on.

A child process writes a run of two claims as `harness run` does, and kills itself at its n-th step on the disk: before
a file or folder is made, moved or removed, or in the middle of what it writes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.evidence import store, verify
from harness.falsifiers.itself.shop import Opened, ran

STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir")
MOST = 200
"""More than a run of two claims has; a point beyond the last is a run that was not killed."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return ran(tmp_path_factory.mktemp("shop"))


def write(opened: Opened, evidence: Path) -> Path:
    """Write a run as `harness run` does."""
    run = store.begin(evidence)
    with store.writing(run.folder):
        store.write_json(run.folder / "run.json", {"status": "running", **opened.begun})
        return _finish(opened, run)


def resumed(opened: Opened, evidence: Path) -> Path:
    """Write what a killed run lacks, as `harness run --resume` does."""
    (partial,) = evidence.iterdir()
    run = store.Run(partial)
    with store.writing(partial):
        run.hold()
        return _finish(opened, run)


def _finish(opened: Opened, run: store.Run) -> Path:
    for claim, files in opened.files.items():
        if claim not in run.held:
            run.deposit(claim, files)
    return opened.sealed(run)


def killed(opened: Opened, evidence: Path, point: int) -> bool:
    """Whether a child that writes a run was killed at step `point`; it ends whole if it has fewer steps."""
    child = os.fork()
    if not child:
        try:
            os.chdir(opened.folder)
            _kill_at(point, evidence)
            write(opened, evidence)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def _kill_at(point: int, evidence: Path) -> None:
    """Kill this process at its n-th step below `evidence`."""
    left, below = [point], str(evidence)

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        if event in STEPS and str(arguments[0]).startswith(below):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

    def halves(write: Callable[..., Any]) -> Callable[..., Any]:
        def both(self: Path, data: Any, *more: Any, **words: Any) -> Any:
            write(self, data[: len(data) // 2], *more, **words)
            step("open", (str(self),))
            return write(self, data, *more, **words)

        return both

    Path.write_bytes = halves(Path.write_bytes)  # type: ignore[method-assign]
    Path.write_text = halves(Path.write_text)  # type: ignore[method-assign]
    sys.addaudithook(step)


@pytest.mark.sample(20)
@pytest.mark.parametrize("point", [*range(0, MOST, 10), *(n for n in range(MOST) if n % 10)])
def test_a_run_that_is_killed_loses_no_finished_claim_and_goes_on(
    opened: Opened, tmp_path: Path, point: int, monkeypatch: pytest.MonkeyPatch, figure: Any
) -> None:
    evidence = tmp_path / "evidence"
    monkeypatch.chdir(opened.folder)
    dead = killed(opened, evidence, point)
    figure("kill -9 at a step of writing a run: points", int(dead))
    if not evidence.is_dir() or not list(evidence.iterdir()):
        assert point < 4, "a run leaves nothing only before its folder is there"
        return
    (found,) = evidence.iterdir()
    if not found.name.endswith(store.PARTIAL):
        assert verify.check(found) == []
        return
    assert dead
    kept = {path.name: path.stat().st_ino for path in found.glob("claims/*")}
    assert all(store.whole(found / "claims" / claim) for claim in kept)
    run = resumed(opened, evidence)
    assert verify.check(run) == []
    assert {claim: (run / "claims" / claim).stat().st_ino for claim in kept} == kept, "a finished claim was lost"
    figure("kill -9 at a step of writing a run: claims that were finished and kept", len(kept))


def test_the_points_reach_from_the_first_step_to_the_last(opened: Opened, tmp_path: Path) -> None:
    assert killed(opened, tmp_path / "first", 0)
    assert not killed(opened, tmp_path / "last", MOST), f"a run has more than {MOST} steps: raise MOST"
