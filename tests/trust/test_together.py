"""Several runs at once in one evidence folder, and disks of every size: whole runs, or one line and nothing sealed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.evidence import store, verify
from tests.run.test_full_disk import ALONE, MOUNT, mounts
from tests.support.command import HARNESS, started
from tests.support.doubling import unhurried
from tests.support.repository import NUMPY_ALONE, environment


@pytest.mark.sample(1)
@pytest.mark.parametrize("count", [2, 8, 16])
def test_runs_of_one_folder_do_not_meet(tmp_path: Path, count: int, figure: Any) -> None:
    unhurried(tmp_path, "doubles")
    command = [*HARNESS, "run", "c", "--candidate", "good.py", "-j", "1"]
    surroundings = environment(**NUMPY_ALONE)
    runs = [subprocess.Popen(command, cwd=tmp_path, env=surroundings, stdout=subprocess.DEVNULL) for _ in range(count)]
    assert [run.wait(600) for run in runs] == [0] * count
    sealed = [path for path in (tmp_path / "evidence").iterdir() if path.is_dir()]
    assert len(sealed) == count
    assert not [fault for run in sealed for fault in verify.check(run)]
    figure("runs at once in one evidence folder", count, "most")


@pytest.mark.sample(1)
@pytest.mark.parametrize("size", [24, *range(4, 164, 8)])
def test_a_disk_of_any_size_ends_in_a_whole_run_or_in_one_line(tmp_path: Path, size: int, figure: Any) -> None:
    """Units: size in kB."""
    if not mounts():
        pytest.skip("NOT TESTED: this machine has no user namespaces, so no small disk")
    unhurried(tmp_path, "doubles")
    (tmp_path / "evidence").mkdir()
    kept = "; code=$?; cp -r evidence kept; exit $code"
    words = MOUNT.format(size=f"{size}k", python=sys.executable).replace("exec ", "(") + ")" + kept
    done = started([*ALONE, words], tmp_path, **NUMPY_ALONE)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 4), (done.returncode, done.stderr)
    if done.returncode == 4:
        told = [line for line in done.stderr.splitlines() if line.startswith("harness: ")]
        assert len(told) == 1, done.stderr
        assert not list((tmp_path / "kept").glob("*/manifest.json")) or "partial" in told[0]
    else:
        assert verify.check(store.sealed(tmp_path / "kept")) == []
    figure("small disks: sizes", 1)
    figure("small disks: runs that were whole", int(done.returncode == 0))
