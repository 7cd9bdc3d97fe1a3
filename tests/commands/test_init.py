"""`harness init`, then what its text says to do: run, mend the line that is named, run again."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from harness.commands.init import FILES
from harness.commands.main import main
from harness.errors import UserError
from harness.run.settings import find, relative
from tests.support.command import started

CLAIM = "FALSIFY-MY-RMSNORM-EPS-001"


def run(folder: Path, *args: str, program: str = "harness") -> tuple[int, str]:
    """A command as a user runs it; exit code and output."""
    done = started([sys.executable, "-m", program, *args], folder)
    return done.returncode, done.stdout + done.stderr


def mend(folder: Path, said: str) -> str:
    """Do what the line under `look` says, and nothing else; the line as it was."""
    found = re.search(r"look +(?P<file>\S+?):(?P<line>\d+): write `(?P<new>.+)` where `(?P<old>.+)` stands", said)
    assert found is not None, said
    file = folder / found["file"]
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    before = lines[int(found["line"]) - 1]
    assert before.count(found["old"]) == 1
    lines[int(found["line"]) - 1] = before.replace(found["old"], found["new"])
    file.write_text("".join(lines), encoding="utf-8")
    return before


def test_the_planted_bug_is_found_named_and_gone_after_what_the_text_says(tmp_path: Path) -> None:
    code, said = run(tmp_path, "init", "new")
    assert code == 0, said
    folder = tmp_path / "new"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert "cd new && harness run ." in said

    code, said = run(folder, "run", ".", "--device", "cpu")
    assert code == 1, said
    assert f"FALSIFIED {CLAIM}" in said
    assert "1e-5" in mend(folder, said)

    code, said = run(folder, "run", ".", "--device", "cpu")
    assert code == 0, said
    assert "1 DISCHARGED; mutants killed 7 of 7" in said
    code, said = run(folder, "validate", ".")  # the evidence of two runs below is no contract
    assert (code, said.splitlines()[-1]) == (0, "1 contracts, 1 claims: 0 errors, 0 warnings")
    code, said = run(folder, ".", "-q", program="pytest")
    assert code == 0, said
    assert "1 passed" in said


def test_pytest_finds_the_same_bug_and_names_the_same_line(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    code, said = run(tmp_path, ".", "-q", program="pytest")
    assert code == 1, said
    assert "1e-5" in mend(tmp_path, said)


@pytest.mark.parametrize("name", FILES)
def test_nothing_that_is_there_is_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / "file" / "below")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot be written" in said


def test_settings_come_from_the_nearest_file_and_are_seen_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "contracts" / "ops"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.harness]\ncandidate = "src/k.py:Kernels"\nweights = "/models/a"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    assert find(["contracts"]) == {"candidate": "src/k.py:Kernels", "weights": "/models/a"}
    assert find(["builtin:ops"]) == find([inner / "none.yaml"]) == find(["contracts"])
    monkeypatch.chdir(inner)
    assert find(["."])["candidate"] == "../../src/k.py:Kernels"
    (tmp_path / "contracts" / "harness.toml").write_text('candidate = "hf:model"\n', encoding="utf-8")
    assert find(["."]) == {"candidate": "hf:../model"}
    with pytest.raises(UserError, match=r"expected one for a run"):
        find([tmp_path, "."])
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert find([tmp_path]) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("candidat = 'a.py'\n", "unknown key 'candidat'; did you mean 'candidate'?"),
        ("candidate = 3\n", "candidate: found 3, expected text"),
        ("candidate = \n", "cannot be read as TOML"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "harness.toml").write_text(text, encoding="utf-8")
    assert main(["run", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_only_files_and_folders_move_with_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p" / "model").mkdir(parents=True)
    for spec in ("torch", "package.module:NAME", "exec:./program --fast", "/at/a.py"):
        assert relative(spec, tmp_path / "p") == spec
    assert relative("model", tmp_path / "p") == "p/model"
    assert relative("gguf:m.gguf", tmp_path / "p") == "gguf:p/m.gguf"
