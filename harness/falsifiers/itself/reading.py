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
    "sound_refused": "number of sound runs in which a fault was found",
    "opened": "number of times that the gate was open on evidence of something else",
    "unexplained": "number of times that the gate did not say what differs",
    "sound_closed": "number of times that the gate was closed on a sound run of what is at hand",
}
EASIER, RED, LATER = "an easier ship.yaml in the evidence", "red elsewhere", "an older green run with a later name"


def verifies(subject: Any, case: Case, *, forgery: str) -> Observation:
    """Verify a sealed run, and a copy that is forged in one way (`harness.falsifiers.itself.forgeries`)."""
    verify = engine.own(subject, "verify_run")
    run, told = case.once(_forged, forgery)
    faults = verify(run)
    return Observation(
        accepted=int(not faults),
        unnamed=int(bool(faults) and not any(told in fault for fault in faults)),
        sound_refused=int(bool(verify(str(_shop()[1])))),
    )


def gates(subject: Any, case: Case, *, stale: str) -> Observation:
    """Ask the gate about a sound run of what is at hand, and about one that differs in one way."""
    gate = engine.own(subject, "gate_run")
    home, candidate, told = case.once(_changed, stale)
    code, lines = gate(home, candidate)
    return Observation(
        opened=int(code == 0),
        unexplained=int(code != 0 and not any(re.search(told, line) for line in lines)),
        sound_closed=int(gate(str(_shop()[0]), "good.py")[0] != 0),
    )


@cache
def _shop() -> tuple[Path, Path]:
    """What ships and the sealed run of it; made once in this process, which owns and ends with its scratch folder."""
    return open_shop(_folder())


def _folder() -> Path:
    return Path(tempfile.mkdtemp(dir=os.environ.get("HARNESS_SCRATCH")))


def _forged(forgery: str) -> tuple[str, str]:
    """(path of a forged copy of the run, words by which its fault is named)."""
    sound = _shop()[1]
    run = Path(shutil.copytree(sound, _folder() / sound.name))
    return str(run), forge_named(run, forgery)


def _changed(stale: str) -> tuple[str, str, str]:
    """(a folder with what ships and a run that is not of it, the candidate to ask for, a pattern of the reason)."""
    home = Path(shutil.copytree(_shop()[0], _folder() / "home", ignore=shutil.ignore_patterns("__pycache__")))
    if stale in STALE:
        change, candidate, told = STALE[stale]
        change(home)
        return str(home), candidate or "good.py", told
    if stale == EASIER:
        easier_ship_yaml(home)
        return str(home), "good.py", "in none of these runs"
    run = run_of(home)
    if stale == RED:
        forge(run, home / "evidence", "20260102T000000Z-00aa00", device="cpu", record=dies)
        shutil.rmtree(run)
        return str(home), "good.py", "the driver died"
    assert stale == LATER, stale
    early = {"began": "2020-01-01T00:00:00+00:00"}
    forge(run, home / "evidence", "20990101T000000Z-00aa00", device="cpu", body=lambda body: body.update(early))
    forge(run, home / "evidence", "20200101T000000Z-00aa00", device="cpu", record=dies)
    shutil.rmtree(run)
    return str(home), "good.py", f"{DOUBLES}: ERROR"
