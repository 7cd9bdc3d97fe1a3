"""`run --isolate`: what a candidate reads, patches, writes or sends in its own process gains nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from harness.commands import run as command
from harness.confinement import landlock
from harness.evidence import store, verify
from harness.falsifiers.itself.shop import DOUBLES
from tests.support.command import claims_of, harness, light
from tests.support.doubling import mixed

WRONG = "\ndef double(x):\n    return 3 * x\n"
IF_SEEN = "\ndef double(x):\n    return 2 * x if seen(x) else 3 * x\n"
"""Right as long as it finds what it looks for."""
ATTACKS = {
    "reads its callers' frames": """
import sys

def seen(x):
    frame = sys._getframe()
    while frame:
        if frame.f_code.co_name == "doubles" or "experiment" in frame.f_locals:
            return True
        frame = frame.f_back
    return False
"""
    + IF_SEEN,
    "searches all objects": """
import gc

def seen(x):
    kinds = {type(each).__name__ for each in gc.get_objects()}
    return bool(kinds & {"Case", "Claim", "Job", "Experiment", "CaseSpec"})
"""
    + IF_SEEN,
    "searches all modules": """
import sys

def seen(x):
    return any(hasattr(each, "doubles") for each in list(sys.modules.values()))
"""
    + IF_SEEN,
    "searches all texts for the evidence": """
import gc, os

def seen(x):
    held = [each for each in gc.get_objects() if isinstance(each, dict)]
    texts = [v for each in held for v in list(each.values()) if isinstance(v, str)]
    return any(f"DOUBLES-{1:03}" in text or "/evidence/2" in text for text in [*texts, *os.environ.values()])
"""
    + IF_SEEN,
    "patches the measuring": """
import harness.trial.experiment as experiment
real = experiment.measure
experiment.measure = lambda name, got, want, **rest: real(name, want.astype(got.dtype), want, **rest)
"""
    + WRONG,
    "patches NumPy": """
import numpy as np
np.where = lambda condition, *values: np.zeros(np.shape(condition))
"""
    + WRONG,
    "patches the boundary": """
from harness.subject.boundary import Boundary
Boundary._call = lambda self, name, function, args, kwargs: 2 * args[0]
"""
    + WRONG,
}
GAINED = {name: "VACUOUS" if "patches" in name else "DISCHARGED" for name in ATTACKS}
"""What each is judged in the claim's own process. A patch there helps the mutants too, which then survive."""
HELD = [name for name in ATTACKS if name != "patches the boundary"]
"""The last one returns the right numbers: whatever it calls itself, that candidate is right."""


def run(folder: Path, source: str, *words: str) -> dict[str, Any]:
    mixed(folder, "doubles")
    (folder / "own_kernel.py").write_text(source, encoding="utf-8")
    found = claims_of(light(folder, "run", "c", "--candidate", "own_kernel.py", "--json", "-j", "1", *words))
    assert verify.check(store.sealed(folder / "evidence")) == []
    return found[DOUBLES]


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ATTACKS)
def test_without_isolation_the_attack_gains(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, ATTACKS[name])["verdict"] == GAINED[name]


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", HELD)
def test_isolated_it_gains_nothing(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, ATTACKS[name], "--isolate")["verdict"] == "FALSIFIED"


def test_a_right_candidate_survives_and_the_evidence_says_how_it_ran(tmp_path: Path) -> None:
    assert run(tmp_path, "def double(x):\n    return x + x\n", "--isolate")["verdict"] == "DISCHARGED"
    body = store.read_json(store.sealed(tmp_path / "evidence") / "run.json")
    assert body["options"]["isolate"] is True
    assert body["isolation"] == ("landlock" if landlock.version() else "none")


WRITES = (
    """
import argparse
from pathlib import Path
for name in ("beside", "c/mixed.yaml", "c/own.py", "evidence/beside"):
    try:
        Path(name).write_text("mine")
    except OSError:
        continue
"""
    + WRONG
)


@pytest.mark.skipif(not landlock.version(), reason="this system offers no Landlock")
def test_it_changes_no_file_of_others(tmp_path: Path) -> None:
    assert run(tmp_path, WRITES, "--isolate")["verdict"] == "FALSIFIED"
    assert not (tmp_path / "beside").exists()
    assert not (tmp_path / "evidence" / "beside").exists()
    assert "mine" not in {path.read_text(encoding="utf-8") for path in (tmp_path / "c").glob("*.*")}


def test_without_isolation_it_changes_them(tmp_path: Path) -> None:
    mixed(tmp_path, "doubles")
    (tmp_path / "own_kernel.py").write_text(WRITES, encoding="utf-8")
    light(tmp_path, "run", "c", "--candidate", "own_kernel.py")
    assert (tmp_path / "beside").read_text(encoding="utf-8") == "mine"


ENDS = {
    "os._exit(0)": "the candidate's process ended with exit code 0",
    "raise SystemExit(3)": "the candidate's process ended with exit code 3",
    "os.kill(os.getpid(), 9)": "the candidate's process was killed by signal 9",
    "sent(b'no answer')": "the candidate's process sent what is no answer",
    "sent(b'\\xff' * 64)": "sent what is no answer",
    "raise KeyError('eps')": "KeyError: 'eps'",
    "raise Own('mine')": "Own: mine",
}
SENDS = """
import os, stat, struct

class Own(ValueError):
    pass

def sent(content):
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), struct.pack("<Q", len(content)) + content if len(content) < 20 else content)
        except OSError:
            pass

def double(x):
    ENDS
"""


@pytest.mark.sample(3)
@pytest.mark.parametrize("statement", ENDS)
def test_how_it_ends_is_told(tmp_path: Path, statement: str) -> None:
    found = run(tmp_path, SENDS.replace("ENDS", statement), "--isolate")
    assert found["verdict"] == "ERROR"
    assert ENDS[statement] in found["reason"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("claim", ["TWO-STREAMS", "DETERMINISM", "KV-SPLIT", "TRAINER-STEPS", "GGUF-HEADER"])
def test_an_isolated_claim_gives_the_same_numbers(tmp_path: Path, claim: str) -> None:
    """Calls in two threads, another interpreter, objects that stay with the candidate, files that it writes."""
    folders = ("builtin:model", "builtin:training", "builtin:packaging")
    words = ("run", *folders, "-k", claim, "--no-mutants", "--json")
    here = claims_of(harness(tmp_path, *words))
    apart = claims_of(harness(tmp_path, *words, "--isolate"))
    assert here
    assert {name: row["measurements"] for name, row in apart.items()} == {
        name: row["measurements"] for name, row in here.items()
    }


def test_a_candidate_that_cannot_be_imported_is_told_in_one_line(tmp_path: Path) -> None:
    mixed(tmp_path, "doubles")
    (tmp_path / "own_kernel.py").write_text("import no_such_module\n", encoding="utf-8")
    done = light(tmp_path, "run", "c", "--candidate", "own_kernel.py", "--isolate")
    assert done.returncode == 2
    assert "No module named 'no_such_module'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "isolate"),
    [([], False), (["--isolate"], True), (["--sign", "K"], True), (["--sign", "K", "--no-isolate"], False)],
)
def test_a_run_that_is_signed_isolates_by_default(words: list[str], isolate: bool) -> None:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    assert command._options(parser.parse_args(["builtin:ops", *words])).isolate is isolate


def test_a_resumed_run_goes_on_as_it_began() -> None:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    assert not command._options(parser.parse_args(["--resume", "r.partial", "--sign", "K"])).isolate
