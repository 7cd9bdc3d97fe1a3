"""`verify`, `gate`, `report` and `mutants` over `evidence/*`: a file beside the runs is skipped, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.commands.main import main
from tests.support import report_lab

COMMANDS = {
    "verify": ["verify"],
    "gate": ["gate", "--target", "ready"],
    "report": ["report", "--out", "page"],
    "mutants": ["mutants"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one sealed run below `evidence`, and a README beside it."""
    place = tmp_path_factory.mktemp("beside")
    report_lab.build(place)
    report_lab.run(place)
    (place / "evidence" / "README.md").write_text("# Evidence\n")
    return place


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("first", [True, False], ids=["file first", "run first"])
def test_a_file_beside_the_runs_is_skipped(
    command: str, first: bool, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    (run,) = (str(path) for path in Path("evidence").iterdir() if path.is_dir())
    name, *more = COMMANDS[command]
    alone = main([name, run, *more])
    without = capsys.readouterr()
    paths = sorted([run, "evidence/README.md"], reverse=not first, key=lambda path: path == run)
    assert main([name, *paths, *more]) == alone != 2
    told = capsys.readouterr()
    assert told.out == without.out
    assert told.err == without.err + "harness: evidence/README.md: a file and no run; skipped\n"


@pytest.mark.parametrize("command", ["verify", "gate", "report"])
@pytest.mark.parametrize(
    ("path", "words"), [("evidence/README.md", "no run; give an evidence folder"), ("evidence/none", "not found")]
)
def test_where_no_run_remains_the_exit_code_is_2(
    command: str,
    path: str,
    words: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    name, *more = COMMANDS[command]
    assert main([name, path, *more]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert f"{path}: " in told.err
    assert words in told.err
    assert told.err.count("\n") == 1


def test_a_path_that_is_not_there_is_an_error_beside_runs_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["verify", "evidence", "evidence/none"]) == 2
    assert "evidence/none: not found" in capsys.readouterr().err
