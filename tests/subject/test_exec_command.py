"""The COMMAND of `--candidate exec:COMMAND`: what cannot be started, and which files are its identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.subject import candidate
from harness.subject.identity import identity
from tests.support.exec_program import program, relu


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("exec:", "found no command"),
        ("exec:./nowhere", "found no program ./nowhere"),
        ("exec:no-such-program-anywhere", "found no program no-such"),
        ("exec:python 'open", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_one_is_one_line(tmp_path: Path, spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as found:
        candidate.load(spec, tmp_path)
    assert "\n" not in str(found.value)


def test_a_time_limit_that_is_no_number_is_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_EXEC_SECONDS", "soon")
    with pytest.raises(UserError, match="HARNESS_EXEC_SECONDS: found 'soon', expected a positive number"):
        candidate.load(program(tmp_path, ""), tmp_path)


def test_a_program_that_cannot_be_executed_is_that_claim_s_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(Exception, match="did not start: Exec format error"):
        relu("exec:./text", tmp_path)


def test_identity_covers_the_files_on_the_command_line_and_what_a_script_imports(tmp_path: Path) -> None:
    spec = program(tmp_path, "import helper\n")
    helper = tmp_path / "helper.py"
    helper.write_text("import json\n")
    (tmp_path / "other.py").write_text("")
    seen = [identity(spec, tmp_path)["sha256"]]
    for path, text in ((helper, "import math\n"), (tmp_path / "program.py", "import helper \n")):
        path.write_text(text)
        seen.append(identity(spec, tmp_path)["sha256"])
    assert len(set(seen)) == 3
    (tmp_path / "other.py").write_text("1\n")
    assert identity(spec, tmp_path)["sha256"] == seen[-1]
    assert identity("exec:sh -c true", tmp_path)["sha256"]
