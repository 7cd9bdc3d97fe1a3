"""A search that is stopped, dies or hangs: the verdict of the fixed cases stays."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from harness.contract.validate import check
from harness.evidence import store, verify
from harness.run import schedule
from harness.run.options import Options
from harness.run.progress import Silent
from harness.run.session import run_session
from tests.support import rare
from tests.support.command import HARNESS, as_json, light
from tests.support.repository import NUMPY_ALONE, environment

COUNTED = """
from pathlib import Path
calls = []
right = softmax

def softmax(x):
    calls.append(1)
    if len(calls) > 100:  # the fixed cases are twenty
        Path("searching").touch()
    return right(x)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rare")
    rare.lay(path)
    return path


def seed_of(folder: Path) -> int:
    return rare.seed_that_tries_first(check([folder / "c"]).contracts[0].claims[0], 13)


def result_in(evidence: Path) -> dict[str, Any]:
    run = store.sealed(evidence)
    assert verify.check(run) == []
    place = run / "claims" / rare.CLAIM
    assert not (place / "scratch").exists()
    found: dict[str, Any] = json.loads((place / "result.json").read_text())
    return found


def test_a_candidate_that_dies_in_the_search_keeps_its_verdict(folder: Path, tmp_path: Path) -> None:
    seed = str(seed_of(folder))
    done = light(folder, "run", "c", "--candidate", "dies.py", "--seed", seed, "--json", "--evidence", str(tmp_path))
    assert as_json(done)["counts"] == {"PARTIAL": 1}
    assert result_in(tmp_path)["search"] == {
        "cases": 0,
        "ended": "stopped",
        "left_out": 0,
        "unconfirmed": 0,
        "raised": None,
        "worst": None,
        "found": None,
    }


def test_a_candidate_that_hangs_in_the_search_keeps_its_verdict(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    options = Options(["c"], candidate="hangs.py", seed=seed_of(folder), evidence=str(tmp_path), workers=1, search_s=3)
    finished = run_session(options, Silent())
    assert finished.seconds >= schedule.MIN_SECONDS + 3  # the time limit is longer by the search's share
    assert finished.sealed.outcome["counts"] == {"PARTIAL": 1}
    assert result_in(tmp_path)["search"]["ended"] == "stopped"


def test_an_interrupted_search_keeps_its_verdict_and_resume_seals_it(folder: Path, tmp_path: Path) -> None:
    (folder / "counted.py").write_text(rare.RIGHT + COUNTED, encoding="utf-8")
    command = [*HARNESS, "run", "c", "--candidate", "counted.py", "--search", "2h", "--evidence", str(tmp_path)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**NUMPY_ALONE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A test session in the background of a shell has interrupts ignored, and its children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    told = "still running after five interrupts"
    try:
        ends = time.monotonic() + 60
        while not (folder / "searching").exists() and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(1)  # the parent has the result by the time that the search calls the candidate; it needs to read it
        for _ in range(5):  # as a person does: Python drops an interrupt that arrives inside a callback
            os.killpg(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, told = process.communicate(timeout=15)
                break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130, told
    (partial,) = tmp_path.iterdir()
    kept = partial / "claims" / rare.CLAIM / "result.json"
    assert json.loads(kept.read_text())["verdict"] == "PARTIAL"
    before = kept.stat().st_mtime_ns
    done = light(folder, "run", "--resume", str(partial), "--json")
    assert as_json(done)["counts"] == {"PARTIAL": 1}, done.stderr
    sealed = store.sealed(tmp_path)
    assert (sealed / "claims" / rare.CLAIM / "result.json").stat().st_mtime_ns == before
    assert json.loads((sealed / "run.json").read_text())["options"]["search_s"] == 7200
    assert result_in(tmp_path)["search"]["ended"] == "stopped"


@pytest.mark.parametrize("text", ["10", "m", "0s", "-5m", "1.5h", "10 m", "ten minutes"])
def test_a_time_that_cannot_be_read_is_one_line(folder: Path, text: str) -> None:
    done = light(folder, "run", "c", f"--search={text}")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"harness: argument --search: found {text!r}, expected a time such as 90s, 10m or 2h; give one of these "
        "(see `harness run --help`)"
    ]
