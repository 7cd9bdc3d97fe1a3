"""Falsifiers of verify and of the gate: each forgery of a sealed run is refused by its name, the run itself is not."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from harness.case import Case
from harness.falsifiers.itself import engine
from harness.falsifiers.itself.edits import dies, forge, run_of
from harness.falsifiers.itself.forgeries import forge_named
from harness.falsifiers.itself.shop import DOUBLES, open_shop
from harness.falsifiers.itself.stale import STALE, easier_ship_yaml
from harness.observation import Observation

MEASURES = {
    "accepted": "number of forgeries in which no fault was found",
    "unnamed": "number of forgeries whose faults do not name what was forged",
    "sound_refused": "number of faults that were found in a sound run",
    "opened": "number of times that the gate was open on evidence of something else",
    "unexplained": "number of times that the gate did not say what differs",
    "sound_closed": "the exit code of the gate on a sound run of what is at hand",
}
NOTHING, EASIER = "nothing", "an easier ship.yaml in the evidence"
BESIDE, LATER = "a green run beside a red one", "an older green run with a later name"


def verifies(subject: Any, case: Case, *, forgery: str) -> Observation:
    """Verify a sealed run that is forged in one way (`harness.falsifiers.itself.forgeries`), or in none (`nothing`)."""
    run, told = case.once(_forged, forgery)
    faults = engine.own(subject, "verify_run")(run)
    if forgery == NOTHING:
        return Observation(accepted=0, unnamed=0, sound_refused=len(faults))
    named = any(told in fault for fault in faults)
    return Observation(accepted=int(not faults), unnamed=int(bool(faults) and not named), sound_refused=0)


def gates(subject: Any, case: Case, *, stale: str) -> Observation:
    """Ask the gate about a run that is not of what is at hand in one way, or is (`nothing`)."""
    home, evidence, candidate, told = case.once(_changed, stale)
    code, lines = engine.own(subject, "gate_run")(home, candidate, evidence)
    if stale == NOTHING:
        return Observation(opened=0, unexplained=0, sound_closed=code)
    explained = any(re.search(told, line) for line in lines)
    return Observation(opened=int(code == 0), unexplained=int(code != 0 and not explained), sound_closed=0)


@cache
def _shop() -> tuple[Path, Path]:
    """What ships and the sealed run of it; made once in this process, which owns and ends with its scratch folder."""
    return open_shop(_folder())


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=os.environ.get("HARNESS_SCRATCH")))


def _forged(forgery: str) -> tuple[str, str]:
    """(path of a forged copy of the run, words by which its fault is named)."""
    sound = _shop()[1]
    if forgery == NOTHING:
        return str(sound), ""
    run = Path(shutil.copytree(sound, _folder() / sound.name))
    return str(run), forge_named(run, forgery)


def _changed(stale: str) -> tuple[str, list[str], str, str]:
    """(a folder with what ships, the evidence there that is not of it, the candidate, a pattern of the reason)."""
    home = Path(shutil.copytree(_shop()[0], _folder() / "home", ignore=shutil.ignore_patterns("__pycache__")))
    evidence, candidate, told = ["evidence"], "good.py", ""
    if stale in STALE:
        change, candidate, told = STALE[stale]
        change(home)
    elif stale == EASIER:
        easier_ship_yaml(home)
        told = f"{DOUBLES}: UNVERIFIED"
    elif stale in (BESIDE, LATER):
        evidence = _red_as_well(home, stale)
        told = f"{DOUBLES}: ERROR .the driver died"
    else:
        assert stale == NOTHING, stale
    return str(home), evidence, candidate or "good.py", told


def _red_as_well(home: Path, how: str) -> list[str]:
    """Put a red run and a green one into a folder's evidence; returns the paths that the gate is given."""
    run, runs = run_of(home), home / "evidence"
    early = {"began": "2020-01-01T00:00:00+00:00"}
    forge(run, runs, "20200101T000000Z-00aa00", device="cpu", record=dies)
    if how == BESIDE:
        return [f"evidence/{path.name}" for path in runs.iterdir()]
    forge(run, runs, "20990101T000000Z-00aa00", device="cpu", body=lambda body: body.update(early))
    shutil.rmtree(run)
    return ["evidence"]
