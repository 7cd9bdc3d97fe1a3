"""An external program writes into its own folder and nowhere else, where the system can see to that."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.confinement import landlock
from tests.support.command import as_json, harness
from tests.support.exec_program import WRITE, program, relu

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this system offers no Landlock")
_SIGNALS = landlock.version() >= landlock.SCOPES_SINCE
"""Older kernels let a confined program send signals."""
ANSWER = WRITE + 'write({"out": right}, x)\n'
TRIES = """
import os, sys, tempfile
from pathlib import Path
victim = Path(VICTIM)
def tried(what):
    try:
        what()
    except OSError as problem:
        return type(problem).__name__
    return "done"
found = [
    tried(lambda: victim.write_text("mine")),
    tried(lambda: os.truncate(victim, 0)),
    tried(victim.unlink),
    tried(lambda: victim.rename(victim.with_name("moved"))),
    tried(lambda: (victim.parent / "new").write_text("")),
    tried(lambda: (victim.parent / "folder").mkdir()),
    tried(lambda: (victim.parent / "link").symlink_to(victim)),
    tried(lambda: os.link(victim, Path(sys.argv[-1]) / "hard")),
    tried(lambda: os.kill(PARENT, 0)) if SIGNALS else "none sent",
    tried(lambda: open("/dev/kmsg", "w")),
    tried(lambda: open(f"/proc/{PARENT}/mem", "rb")),
]
kept = tempfile.NamedTemporaryFile()
Path("/dev/null").write_text("x")
if "done" in found or victim.read_text() != "theirs":
    sys.exit(f"{found}")
"""


def _tries(victim: Path) -> str:
    return (
        TRIES.replace("VICTIM", repr(str(victim))).replace("PARENT", str(os.getpid())).replace("SIGNALS", str(_SIGNALS))
    )


@needs_landlock
def test_a_program_changes_no_file_of_others_and_reaches_no_process(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    out = relu(program(tmp_path, _tries(victim) + ANSWER), tmp_path)
    assert np.array_equal(out, np.ones((2, 3)))
    assert {each.name for each in tmp_path.iterdir()} == {"victim", "program.py"}


@needs_landlock
def test_without_isolation_the_same_program_does_all_of_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_ISOLATION", "none")
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    with pytest.raises(RuntimeError, match="'done', 'done', 'done'"):
        relu(program(tmp_path, _tries(victim) + ANSWER), tmp_path)


@needs_landlock
def test_the_evidence_says_how_a_program_was_confined(tmp_path: Path) -> None:
    spec = program(tmp_path, ANSWER)
    for setting, expected in [("auto", "landlock"), ("none", "none")]:
        words = ["run", "builtin:ops", "-k", "FALSIFY-RELU-001", "--candidate", spec, "--no-mutants", "--json"]
        done = harness(tmp_path, *words, HARNESS_ISOLATION=setting)
        body = json.loads((tmp_path / as_json(done)["evidence"] / "run.json").read_text())
        assert body["isolation"] == expected


def test_an_unknown_setting_is_told_in_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_ISOLATION", "yes")
    with pytest.raises(Exception, match="HARNESS_ISOLATION: found 'yes', expected auto or none"):
        relu(program(tmp_path, ANSWER), tmp_path)


@needs_landlock
def test_a_confined_program_that_cannot_start_says_why(tmp_path: Path) -> None:
    file = tmp_path / "program"
    file.write_bytes(b"\x7fELF, but not really")
    file.chmod(0o755)
    with pytest.raises(Exception, match="did not start: Exec format error"):
        relu(f"exec:{file}", tmp_path)


@needs_landlock
def test_a_signal_ends_a_confined_program_as_it_ends_any_other(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="signal 6"):
        relu(program(tmp_path, f"import os; os.kill(os.getpid(), {signal.SIGABRT.value})"), tmp_path)
