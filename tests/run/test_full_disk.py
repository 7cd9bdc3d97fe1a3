"""A disk without room: one line, an exit code of its own, and the finished claims are kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import started
from tests.support.doubling import mixed
from tests.support.repository import NUMPY_ALONE

MOUNT = "mount -t tmpfs -o size={size} tmpfs evidence && exec {python} -m harness run c --candidate good.py -j 1"
ALONE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def mounts() -> bool:
    """Whether this machine lets a user mount a small disk of its own."""
    words = [*ALONE, "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not mounts(), reason="NOT TESTED: this machine has no user namespaces, so no small disk")
@pytest.mark.parametrize("size", ["8k", "40k"])
def test_a_full_disk_is_told_in_one_line(tmp_path: Path, size: str) -> None:
    mixed(tmp_path, "doubles", "slowly")
    (tmp_path / "evidence").mkdir()
    done = started([*ALONE, MOUNT.format(size=size, python=sys.executable)], tmp_path, **NUMPY_ALONE)
    assert done.returncode == 4, (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("harness: No space left on device: "), done.stderr
    assert "harness run --resume" in last
    assert "Traceback" not in done.stderr
