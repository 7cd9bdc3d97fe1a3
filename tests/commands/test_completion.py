"""Shell completion, as a shell sees it: the printed code is evaluated in bash and asked what may come next."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.completer import SHELLS, _candidates
from harness.commands.main import main
from harness.subject import candidate
from tests.support.repository import ROOT

ASK = """
eval "$(harness completion bash)"
compopt() { :; }
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
case "$1" in *" ") COMP_WORDS+=("");; esac
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
found=$(complete -p harness | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p')
"$found" harness "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
compgen -W "$(printf '%s\\n' "${COMPREPLY[@]}")"
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on PATH with a `harness` of this checkout, and files to complete."""
    folder = tmp_path_factory.mktemp("shell")
    program = folder / "harness"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m harness "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (folder / "kernels.py").touch()
    (folder / "folder").mkdir()
    return folder


def offered(shell: Path, line: str) -> set[str]:
    """What bash offers at the end of a line."""
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "--norc", "-c", ASK, "bash", line],
        cwd=shell,
        env={**os.environ, "PATH": f"{shell}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "among", "never"),
    [
        ("harness ver", {"verify"}, {"validate"}),
        ("harness run --cand", {"--candidate"}, {"--weights"}),
        ("harness run --device c", {"cpu", "cuda"}, {"auto"}),
        ("harness run --device re", {"rehearsal"}, {"cuda"}),
        ("harness run --candidate to", {"torch", "torch_sdpa"}, {"kernels.py", "huggingface"}),
        ("harness run --candidate ker", {"kernels.py"}, {"torch"}),
        ("harness run --weights f", {"folder/"}, {"kernels.py"}),
        ("harness export a b --type q", {"q8_0", "q4_0"}, {"f16"}),
        ("harness explain FALSIFY-RMSNORM-E", {"FALSIFY-RMSNORM-EPS-001"}, {"FALSIFY-RMSNORM-STATE-001"}),
        ("harness explain falsify-rmsnorm-e", {"falsify-rmsnorm-ePS-001"}, {"FALSIFY-RMSNORM-STATE-001"}),
        ("harness explain PART", {"PARTIAL"}, {"DISCHARGED"}),
        ("harness gate evidence --target dec", {"decoder-forward"}, {"packaging"}),
        ("harness completion z", {"zsh"}, {"bash"}),
    ],
)
def test_bash_offers_what_may_come_next(shell: Path, line: str, among: set[str], never: set[str]) -> None:
    found = offered(shell, line)
    assert among <= found, found
    assert not never & found


def test_bash_splits_words_at_colons_and_built_in_contracts_complete_all_the_same(shell: Path) -> None:
    assert {"builtin:ops", "builtin:model"} <= offered(shell, "harness run buil")


def test_every_candidate_offered_can_be_loaded_and_none_is_left_out() -> None:
    names = [name for name in _candidates() if ":" not in name and name != candidate.BASELINE]
    packages = {p.parent.name for p in (ROOT / "harness" / "candidates").glob("*/__init__.py")}
    assert set(names) == packages - set(candidate.READERS.values())


@pytest.mark.parametrize("shell_name", SHELLS)
def test_each_shell_has_its_code(shell_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell_name]) == 0
    code = capsys.readouterr().out
    assert "harness" in code
    assert "_ARGCOMPLETE" in code
    program = shutil.which(shell_name)
    if program:
        subprocess.run([program, "-n"], input=code, text=True, check=True)


def test_an_unknown_shell_and_a_missing_package_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'harness[completion]'" in capsys.readouterr().err
