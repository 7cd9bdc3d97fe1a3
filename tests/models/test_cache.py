"""The cache of built models: damage is built again, a killed build leaves nothing, two processes build once."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.models import cache


def test_the_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("HARNESS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.root() == Path.home() / ".cache" / "harness"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "harness"
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "own"))
    assert cache.root() == tmp_path / "own"


def _write_two(folder: Path) -> None:
    (folder / "a").write_text("one")
    (folder / "b").write_text("two")


@pytest.mark.parametrize("harm", ["changed", "missing", "no digests", "empty digests", "digests not JSON"])
def test_a_damaged_folder_is_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str):
    folder = cache.get(tmp_path / "x", _write_two)
    assert cache.damage(folder) is None
    if harm == "changed":
        (folder / "a").write_text("onf")
    elif harm == "missing":
        (folder / "b").unlink()
    elif harm == "no digests":
        (folder / cache.DIGESTS).unlink()
    else:
        (folder / cache.DIGESTS).write_text("{}" if harm == "empty digests" else "{")
    cache.get(folder, _write_two)
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert "damaged" in notice
    assert cache.damage(folder) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.lock"]


def test_a_file_put_beside_the_built_ones_is_left_alone(tmp_path: Path):
    folder = cache.get(tmp_path / "x", _write_two)
    (folder / "model.gguf").write_text("exported")
    cache.get(folder, lambda _: pytest.fail("built again"))
    assert (folder / "model.gguf").read_text() == "exported"


def test_a_failed_or_killed_build_leaves_no_folder(tmp_path: Path):
    def fail(folder: Path) -> None:
        _write_two(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get(tmp_path / "x", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["x.lock"]
    (tmp_path / ".x.killed").mkdir()
    _write_two(tmp_path / ".x.killed")
    cache.get(tmp_path / "x", _write_two)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.lock"]


def _slowly(folder: Path) -> None:
    time.sleep(0.5)
    _write_two(folder)
    (folder.parent / f"built-{os.getpid()}").touch()


def test_two_processes_build_once(tmp_path: Path):
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=cache.get, args=(tmp_path / "x", _slowly)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert cache.damage(tmp_path / "x") is None
    assert len(list(tmp_path.glob("built-*"))) == 1


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="set HARNESS_CACHE to a writable folder"):
        cache.get(tmp_path / "file" / "x", _write_two)
