"""A disk without room: one line, an exit code of its own, and the finished claims are kept."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands import run
from harness.commands.main import main
from tests.support.command import started
from tests.support.doubling import mixed
from tests.support.repository import NUMPY_ALONE

MOUNT = "mount -t tmpfs -o size={size} tmpfs evidence && exec {python} -m harness run c --candidate good.py -j 1"
ALONE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def mounts() -> bool:
    """Whether this machine lets a user mount a small disk of its own."""
    words = [*ALONE, "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_what_cannot_be_written_has_an_exit_code_of_its_own(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a small disk too, on every machine."""

    def full(args: object) -> int:
        raise OSError(number, os.strerror(number), "evidence/x")

    monkeypatch.setattr(run, "run", full)
    assert main(["run", "c"]) == 4
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {os.strerror(number)}: evidence/x; ")
    assert len(said.splitlines()) == 1


def test_another_error_of_the_system_is_no_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(args: object) -> int:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(run, "run", fails)
    with pytest.raises(OSError, match="input/output"):
        main(["run", "c"])


@pytest.mark.parametrize("size", ["8k", "40k"])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, size: str) -> None:
    if not mounts():
        pytest.skip("NOT TESTED: this machine has no user namespaces, so no small disk")
    mixed(tmp_path, "doubles", "slowly")
    (tmp_path / "evidence").mkdir()
    done = started([*ALONE, MOUNT.format(size=size, python=sys.executable)], tmp_path, **NUMPY_ALONE)
    assert done.returncode == 4, (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("harness: No space left on device: "), done.stderr
    assert "harness run --resume" in last
    assert "Traceback" not in done.stderr
