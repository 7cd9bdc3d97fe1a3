"""What a contract's `falsifiers.ops` means: theirs if they have one, else ours; and the order of the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from harness.contract.names import packages
from harness.contract.names.modules import Missing, Modules
from harness.contract.names.packages import full_name, import_from, in_the_way
from harness.contract.names.reference import find
from harness.subject import binding


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No name looked up yet, and the path as it was afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    packages.on_path.cache_clear()
    yield
    packages.on_path.cache_clear()


def laid(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("WHOSE = 'theirs'\ndef f(): ...\n", encoding="utf-8")
    return folder


def test_ours_answers_where_nobody_has_one() -> None:
    assert full_name("falsifiers.ops") == "harness.falsifiers.ops"
    assert full_name("formats.inspection") == "formats.inspection"


@pytest.mark.parametrize(
    "file", ["reference.py", "reference/__init__.py", "reference/mine.py", "reference/ops/mine.py"]
)
def test_theirs_answers_where_they_have_one_and_ours_never_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.syspath_prepend(str(laid(tmp_path, file)))
    assert full_name("reference.ops.norm") == "reference.ops.norm"
    with pytest.raises(Missing, match="reference"):
        find("reference.ops.norm:rmsnorm_forward", tmp_path, Modules())


def test_a_folder_of_data_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "qwen").mkdir(parents=True)
    (tmp_path / "models" / "qwen" / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert full_name("models.stdlib_qwen2") == "harness.models.stdlib_qwen2"
    assert find("models.stdlib_qwen2:build", tmp_path, Modules()).definition.name == "build"


def test_a_folder_that_joins_the_path_with_a_file_of_theirs_changes_no_short_name(tmp_path: Path) -> None:
    """Else `validate`, which loads no file, would mean another module than the run."""
    laid(tmp_path, "falsifiers/__init__.py", "kernel.py")
    binding.module("kernel.py", tmp_path)
    assert str(tmp_path) in sys.path
    assert full_name("falsifiers.ops") == "harness.falsifiers.ops"


def test_the_working_folder_comes_first_and_once(tmp_path: Path) -> None:
    before = list(sys.path)
    for _ in range(2):
        import_from(tmp_path)
    assert sys.path == [str(tmp_path), *before]


def test_a_module_of_theirs_that_hides_another_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid(tmp_path, "filelock.py", "their_own.py")
    import_from(tmp_path)
    for name in ("their_own", "filelock"):
        assert in_the_way(tmp_path) is None
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, name, import_module(name))
    assert in_the_way(tmp_path) == ("filelock", str(tmp_path / "filelock.py"))
