"""The small model's corpus: split by file, trained on and held out apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.models import corpus, stdlib_qwen2


def test_the_split_is_by_file_and_disjoint():
    files = corpus.split()
    assert not set(files.train) & set(files.held_out)
    assert 0.05 < len(files.held_out) / (len(files.train) + len(files.held_out)) < 0.2
    assert not set(corpus.read(files.root, files.train)) & set(corpus.read(files.root, files.held_out))
    assert not [p for p in files.train + files.held_out if "site-packages" in p or "/test" in p]


def test_the_split_depends_on_the_path_alone(tmp_path: Path):
    for number in range(60):
        (tmp_path / f"module_{number}.py").write_text(f"# {number}\n" + "x = 1\n" * 100)
    before = corpus.split(tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("tests/a.py", "_sysconfigdata__linux.py", "notes.txt"):
        (tmp_path / name).write_text("x = 1\n" * 100)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n" + b"x = 1\n" * 100)
    (tmp_path / "stub.py").write_text("x = 1\n")
    assert corpus.split(tmp_path) == before
    (tmp_path / before.train[0]).unlink()
    assert corpus.split(tmp_path).held_out == before.held_out


def test_a_library_without_sources_is_one_clear_line(tmp_path: Path):
    with pytest.raises(UserError, match="found 0 source files to train on and 0 to hold out"):
        corpus.split(tmp_path)


def test_held_out_files_exist_and_were_not_trained_on(folder: Path):
    files = stdlib_qwen2.held_out(folder)
    assert files
    assert all(path.is_file() for path in files)
    assert not {p.relative_to(corpus.split().root).as_posix() for p in files} & set(corpus.split().train)


def test_held_out_refuses_another_library(folder: Path, tmp_path: Path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    facts = stdlib_qwen2.provenance(other)
    facts["held_out_files"] = facts["held_out_files"][1:]
    (other / "recipe.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="use the Python that built it"):
        stdlib_qwen2.held_out(other)
    with pytest.raises(UserError, match="expected a folder made by models"):
        stdlib_qwen2.held_out(tmp_path)
