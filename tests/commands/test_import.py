"""`harness import`: what it refuses in one line, what it never writes over, and what it leaves unloaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.main import main
from tests.support.provable.foreign_contracts import write
from tests.support.provable.importing import ONE, imported


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path / "theirs", 3)
    code = (
        "import sys; from harness.commands.main import main; code = main(sys.argv[1:])\n"
        "heavy = {'numpy', 'torch', 'rich', 'hypothesis'} & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    command = [sys.executable, "-c", code, "import", str(tmp_path / "theirs"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


BAD = {
    "empty.yaml": ("", "the file is empty"),
    "null.yaml": ("---\n~\n", "the file is empty"),
    "list.yaml": ("- a\n- b\n", "found a list of 2, expected a map"),
    "text.yaml": ("just words\n", "found text, expected a map"),
    "tab.yaml": ("metadata:\n\tid: x\n", "a tab where only spaces may indent"),
    "open.yaml": ("metadata: {id: [a\n", "not YAML"),
    "two.yaml": (ONE + "---\n" + ONE, "2 YAML documents in one file"),
    "none.yaml": ("metadata: {version: 1.0.0}\nbindings: []\n", "found no test"),
    "latin.yaml": (b"metadata: {id: caf\xe9}\n", "byte 0xe9 is not UTF-8"),
    "deep.yaml": ("a: " + "[" * 60 + "]" * 60 + "\n", "nested deeper than 32 levels"),
    "bomb.yaml": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 10)}]\n" for m, n in zip("abcdefgh", "bcdefghi", strict=True)),
        "more than 200,000 values",
    ),
    "loop.yaml": ("a: &a [*a]\n", "the alias *a has no anchor before it"),
    "control.yaml": ("a: \x07\n", "not text"),
    "ours.yaml": (
        "metadata: {id: a, version: 1.0.0}\nfalsification_tests:\n- {id: A-1, falsifier: 'a:b', accept: {}}\n",
        "already is a harness contract",
    ),
}


def test_what_cannot_be_read_is_one_line_and_the_others_are_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "good.yaml").write_text(ONE)
    (tmp_path / "big.yaml").write_text("# " + "x" * (17 << 20))
    files = [*(str(tmp_path / name) for name in BAD), str(tmp_path / "big.yaml"), str(tmp_path / "absent.yaml")]
    assert main(["import", *files, str(tmp_path / "good.yaml"), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == len(BAD) + 2
    for name, (_, message) in {
        **BAD,
        "big.yaml": ("", "expected at most"),
        "absent.yaml": ("", "no such file"),
    }.items():
        line = next(line for line in lines if line.startswith(str(tmp_path / name)))
        assert message in line
        assert len(line) < 400
    assert f"{tmp_path / 'out' / 'good.yaml'}: 1 test: 1 prose" in out
    assert f"1 contracts imported, {len(BAD) + 2} not" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.yaml"]


def test_an_existing_contract_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    assert imported(tmp_path, tmp_path / "a.yaml")[0] == 0
    target = tmp_path / "out" / "a.yaml"
    target.write_text("mine\n")
    code, report = imported(tmp_path, tmp_path / "a.yaml")
    assert code == 2
    assert "exists and is not changed; --force replaces it" in report["failed"][0]
    assert target.read_text() == "mine\n"
    assert imported(tmp_path, tmp_path / "a.yaml", more=("--force",))[0] == 0
    first = target.read_bytes()
    assert imported(tmp_path, tmp_path / "a.yaml", more=("--force",))[0] == 0
    assert target.read_bytes() == first  # what it replaces is not in its own way
    assert b"id: FALSIFY-A-001" in first


def test_the_source_itself_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    code, report = imported(tmp_path, tmp_path / "a.yaml", out=".", more=("--force",))
    assert code == 2
    assert "would overwrite" in report["failed"][0]
    assert (tmp_path / "a.yaml").read_text() == ONE


def test_an_out_that_is_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    assert main(["import", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "a.yaml")]) == 2
    assert capsys.readouterr().err == f"harness: --out {tmp_path / 'a.yaml'}: is a file, expected a folder\n"


def test_a_terminal_is_not_moved_by_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(ONE + 'kept: 1\n"\\e[31m\\nred": 2\n')
    assert main(["import", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31m\\nred" in out
