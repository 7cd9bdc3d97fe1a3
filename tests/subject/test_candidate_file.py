"""What `--candidate file.py[:NAME]` means: a module, an object, a class, a builder or one op; and its identity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.subject import candidate, sources
from harness.subject.identity import identity
from harness.subject.sources import with_siblings

SOURCE = """
import functools
ARRAYS = "torch"
class Kernels:
    def relu(self, x): return x
MADE = Kernels()
def build(): return Kernels()
def build_at(size=3, *, deep=True): return Kernels()
def relu(x): return x
def softmax(x, axis=-1): return x
@functools.wraps(relu)
def wrapped(*args, **kwargs): return relu(*args, **kwargs)
def bare(*args, **kwargs): return relu(*args, **kwargs)
def nothing(): pass
def number(): return 3
def fails(): raise RuntimeError("no such checkpoint")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernels.py").write_text(SOURCE)
    return tmp_path


@pytest.mark.parametrize("name", ["MADE", "Kernels", "build", "build_at"])
def test_an_object_a_class_and_a_builder_are_the_object(folder: Path, name: str) -> None:
    found = candidate.load(f"kernels.py:{name}", folder)
    assert type(found).__name__ == "Kernels"
    assert found.relu(4) == 4


@pytest.mark.parametrize("name", ["relu", "softmax", "bare", "wrapped"])
def test_a_function_that_needs_an_argument_is_the_op_of_its_name(folder: Path, name: str) -> None:
    found = candidate.load(f"kernels.py:{name}", folder)
    assert getattr(found, "relu" if name == "wrapped" else name)(5) == 5
    assert found.ARRAYS == "torch"
    assert not hasattr(found, "build")


@pytest.mark.parametrize(("name", "kind"), [("nothing", "NoneType"), ("number", "int")])
def test_a_builder_that_builds_nothing_is_one_line(folder: Path, name: str, kind: str) -> None:
    with pytest.raises(UserError, match=f"kernels.py:{name}: the builder returned {kind}, expected an object") as found:
        candidate.load(f"kernels.py:{name}", folder)
    assert "\n" not in str(found.value)


def test_a_builder_that_fails_ends_the_run_with_one_line(folder: Path, monkeypatch: Any, capfd: Any) -> None:
    from harness.commands.main import main

    monkeypatch.chdir(folder)
    assert main(["run", "builtin:ops", "-k", "relu", "--candidate", "kernels.py:fails", "--device", "cpu"]) == 2
    said = capfd.readouterr().err.strip()
    assert "kernels.py:fails" in said
    assert "RuntimeError: no such checkpoint" in said
    assert "\n" not in said


def test_identity_covers_siblings_that_are_imported_and_their_siblings(tmp_path: Path) -> None:
    files = {
        "kernels.py": "import os, numpy\nfrom fused import norm\n",
        "fused.py": "def norm():\n    import deep.inner\n",
        "deep/__init__.py": "",
        "deep/inner.py": "",
        "other.py": "import kernels\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert [p.relative_to(tmp_path).as_posix() for p in with_siblings(tmp_path / "kernels.py")] == [
        *("deep/__init__.py", "deep/inner.py", "fused.py", "kernels.py")
    ]
    before = identity("kernels.py", tmp_path)["sha256"]
    assert identity("kernels.py:relu", tmp_path)["sha256"] == before
    for name, counts in {"deep/inner.py": True, "fused.py": True, "other.py": False}.items():
        old = identity("kernels.py", tmp_path)["sha256"]
        (tmp_path / name).write_text(files[name] + "# mended\n")
        assert (identity("kernels.py", tmp_path)["sha256"] != old) is counts, name


def test_a_file_beside_a_package_of_many_files_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 60 files imports their package; were each name followed each time, that took minutes in a repository."""
    (tmp_path / "big").mkdir()
    for name in ("__init__", *(f"part{number}" for number in range(60))):
        (tmp_path / "big" / f"{name}.py").write_text("import big\nfrom big import part1, part2\n")
    (tmp_path / "kernels.py").write_text("import big\n")
    listed: list[str] = []
    files = sources._files
    monkeypatch.setattr(sources, "_files", lambda folder, name: listed.append(name) or files(folder, name))
    read: list[Path] = []
    imported = sources._imported
    monkeypatch.setattr(sources, "_imported", lambda path: read.append(path) or imported(path))
    assert len(with_siblings(tmp_path / "kernels.py")) == 62
    assert len(read) == len(set(read)) == 62
    assert listed == ["big"]


def test_a_file_alone_keeps_its_plain_digest(tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "alone.py").write_text("import sys\n")
    plain = hashlib.sha256((tmp_path / "alone.py").read_bytes()).hexdigest()
    assert identity("alone.py", tmp_path)["sha256"] == plain
    assert not any(name.startswith("harness_file_alone") for name in sys.modules)
