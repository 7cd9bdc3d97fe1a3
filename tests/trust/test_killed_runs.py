"""kill -9 of `harness run` and of its workers at any time: what was finished is kept, and the run can be completed."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.evidence import store, verify
from tests.sample import kinds_first
from tests.support.command import HARNESS, light
from tests.support.doubling import unhurried
from tests.support.repository import NUMPY_ALONE, environment

POINTS, KINDS = kinds_first([(who, seed) for who in ("run", "worker") for seed in range(100)], lambda each: each[0])
WHOLE = "FALSIFY-DOUBLES-001", "FALSIFY-SLOWLY-001"


@pytest.fixture(scope="module")
def length(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds of a run that nobody kills."""
    folder = tmp_path_factory.mktemp("whole")
    unhurried(folder, "doubles", "slowly")
    began = time.monotonic()
    assert light(folder, "run", "c", "--candidate", "good.py", "-j", "2").returncode == 0
    return time.monotonic() - began


def struck(folder: Path, who: str, when: float, draw: random.Random) -> int:
    """Start a run, kill it or one of the processes below it `when` seconds later; returns how many were killed."""
    run = subprocess.Popen(
        [*HARNESS, "run", "c", "--candidate", "good.py", "-j", "2"],
        cwd=folder,
        env=environment(**NUMPY_ALONE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.wait(when)
    killed = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(run.pid).children(recursive=True) if who == "worker" else [psutil.Process(run.pid)]
        if family:
            draw.choice(family).send_signal(signal.SIGKILL)
            killed = 1
    run.wait(120)
    return killed


@pytest.mark.sample(KINDS)
@pytest.mark.parametrize(("who", "seed"), POINTS)
def test_no_kill_loses_a_finished_claim(length: float, tmp_path: Path, who: str, seed: int, figure: Any) -> None:
    draw = random.Random(seed)
    unhurried(tmp_path, "doubles", "slowly")
    killed = struck(tmp_path, who, draw.uniform(0.1, 1.1) * length, draw)
    evidence = tmp_path / "evidence"
    partial = list(evidence.glob("*.partial/run.json"))
    kept = {}
    if partial:
        claims = partial[0].parent / "claims"
        kept = {path.name: path.stat().st_ino for path in claims.glob("*")}
        assert all(store.whole(claims / claim) for claim in kept)
        done = light(tmp_path, "run", "--resume", str(partial[0].parent))
        assert done.returncode in (0, 1), done.stderr
    elif not list(evidence.glob("*/manifest.json")):
        assert light(tmp_path, "run", "c", "--candidate", "good.py").returncode == 0
    run = store.sealed(evidence)
    assert verify.check(run) == []
    assert {path.name for path in (run / "claims").iterdir()} == set(WHOLE)
    assert {claim: (run / "claims" / claim).stat().st_ino for claim in kept} == kept, "a finished claim was lost"
    figure(f"kill -9 of a {who} at a random time: kills", killed)
    figure(f"kill -9 of a {who} at a random time: claims that were finished and kept", len(kept))
