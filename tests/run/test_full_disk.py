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
from harness.falsifiers.itself.shop import DOUBLES
from tests.support.command import light, started
from tests.support.doubling import mixed
from tests.support.repository import NUMPY_ALONE

MOUNT = "mount -t tmpfs -o size={size} tmpfs evidence && exec {python} -m harness run c --candidate good.py -j 1"
RUN = f"{sys.executable} -m harness run c --candidate good.py -j 1"
FILLED = f"""
mount -t tmpfs -o size=2m tmpfs evidence
({RUN}; echo code $?) > told &
until ls -d evidence/*.partial/claims/{DOUBLES} > /dev/null 2>&1; do sleep 0.05; done
head -c 4m /dev/zero > evidence/fill 2> /dev/null
wait
grep code told
ls evidence/*.partial/claims
rm evidence/fill
{RUN} --resume evidence/*.partial > told
echo code $?
echo $(ls evidence/*/claims | wc -l) whole
"""
"""A disk of 2 MB is filled once the first claim is in the evidence, and emptied for the second try."""
WRITTEN = "evidence/20260101T000000Z-abcdef.partial/x"
ALONE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def mounts() -> bool:
    """Whether this machine lets a user mount a small disk of its own."""
    words = [*ALONE, "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES, errno.EPERM])
def test_what_cannot_be_written_has_an_exit_code_of_its_own(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a small disk too, on every machine."""

    def full(args: object) -> int:
        raise OSError(number, os.strerror(number), WRITTEN)

    monkeypatch.setattr(run, "run", full)
    assert main(["run", "c"]) == 4
    said = capsys.readouterr().err
    assert said.startswith(f"harness: {os.strerror(number)}: {WRITTEN}; ")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("problem", [OSError(errno.EIO, "no such"), PermissionError(errno.EACCES, "no such", "c/x")])
def test_another_error_of_the_system_is_no_full_disk(monkeypatch: pytest.MonkeyPatch, problem: OSError) -> None:
    def fails(args: object) -> int:
        raise problem

    monkeypatch.setattr(run, "run", fails)
    with pytest.raises(OSError, match="no such"):
        main(["run", "c"])


def test_a_folder_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    mixed(tmp_path, "doubles")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/nowhere/at/all")
    for folder, reason in (("file", "Not a directory"), ("link", "File exists"), ("e" * 300, "File name too long")):
        done = light(tmp_path, "run", "c", "--candidate", "good.py", "-j", "1", "--evidence", folder)
        assert done.returncode == 4, done.stderr
        assert done.stderr == (
            f"harness: --evidence {folder}: {reason}; expected a folder that can be written; nothing was run\n"
        )


def test_a_read_only_folder_is_told_in_one_line(tmp_path: Path) -> None:
    if not mounts():
        pytest.skip("NOT TESTED: this machine has no user namespaces, so no small disk")
    mixed(tmp_path, "doubles")
    (tmp_path / "evidence").mkdir()
    words = f"mount -t tmpfs -o ro tmpfs evidence && exec {RUN}"
    done = started([*ALONE, words], tmp_path, **NUMPY_ALONE)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("harness: --evidence evidence: Read-only file system; ")
    assert len(done.stderr.splitlines()) == 1


def test_what_was_finished_before_the_disk_was_full_is_kept_and_resumed(tmp_path: Path) -> None:
    """The disk fills when the first claim is in the evidence; with room again the run is completed."""
    if not mounts():
        pytest.skip("NOT TESTED: this machine has no user namespaces, so no small disk")
    mixed(tmp_path, "doubles", "slowly")
    text = (tmp_path / "c/mixed.yaml").read_text(encoding="utf-8")
    (tmp_path / "c/mixed.yaml").write_text(text.replace("budget_s: 1", "budget_s: 30"), encoding="utf-8")
    (tmp_path / "evidence").mkdir()
    done = started([*ALONE, FILLED], tmp_path, **NUMPY_ALONE)
    assert done.stdout.splitlines()[:2] == ["code 4", DOUBLES], (done.stdout, done.stderr)
    assert done.stdout.splitlines()[-2:] == ["code 0", "2 whole"], (done.stdout, done.stderr)
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("harness: ")]
    assert told.startswith("harness: No space left on device: ")
    assert "Traceback" not in done.stderr


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
