"""What ships, in a small folder of its own, and a sealed run of it, made in this process without a command line."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.contract.cases import plan
from harness.contract.claim import Claim
from harness.contract.validate import Checked, check
from harness.evidence import provenance, result, store
from harness.evidence.body import Begun, Host, Options
from harness.evidence.examined import Examined
from harness.evidence.seal import seal
from harness.judging.judge import judge
from harness.judging.limits import measures
from harness.judging.result import FilesRead
from harness.mutant import mutants_of
from harness.subject import binding
from harness.subject.identity import identity
from harness.subject.sources import file_digest
from harness.trial.experiment import Experiment, record

DOUBLES, SLOWLY = "FALSIFY-DOUBLES-001", "FALSIFY-SLOWLY-001"
CANDIDATE = "def double(x):\n    return x + x\n"
READS = """from pathlib import Path
import numpy as np
import side
TABLE = np.memmap(Path(__file__).parent / "data" / "table.bin", dtype=np.float32)

def double(x):
    return side.add(x, x) * np.asarray(TABLE[0], x.dtype)
"""
"""A candidate that reads a table and imports a file beside it."""
FALSIFIERS = '''
import time
import numpy as np
from harness.observation import Observation

def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def slowly(subject, case, *, rows):
    time.sleep(0.4)
    return doubles(subject, case, rows=rows)

def triples(baseline):
    """Three for two."""
    from types import SimpleNamespace
    return SimpleNamespace(double=lambda x: 3 * x)

MUTANTS = {"triples": triples}
'''
HEAD = """metadata: {{id: {id}, version: 1.0.0, title: t, description: d, references: [], depends_on: [{after}]}}
equations: {{double: y = 2 x}}
falsification_tests:
"""
CLAIM = """- id: {id}
  rule: y is twice x
  prediction: it is
  falsifier: own.py:{falsifier}
  baseline: base.py
  explore: {{rows: {{boundary: [1, 5]}}}}
  examples: 4
  accept:
    rel_l2_err: {{le: 1.0e-6, why: doubling is exact}}
  mutants: [triples]
  discharges_on: [{on}]
  budget_s: 1
  if_fails: look at double
"""
SHIP = """targets:
  doubling:
    title: Doubling ships
    criteria:
    - {id: X1, title: doubles, weight: 3, effort_hours: 1, claims: [FALSIFY-DOUBLES-001]}
    - {id: X2, title: slowly, weight: 1, effort_hours: 1, claims: [FALSIFY-SLOWLY-001]}
"""


def contract(
    folder: Path, name: str, claims: Sequence[str], after: str = "", on: str = "cpu", falsifiers: str = FALSIFIERS
) -> None:
    """A contract of the falsifiers named in `claims`; `after` is what it depends on."""
    folder.mkdir(exist_ok=True)
    (folder / "own.py").write_text(falsifiers, encoding="utf-8")
    (folder / "base.py").write_text(CANDIDATE, encoding="utf-8")
    text = HEAD.format(id=name, after=after)
    text += "".join(CLAIM.format(id=f"FALSIFY-{c.upper()}-001".replace("_", "-"), falsifier=c, on=on) for c in claims)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def furnish(folder: Path, on: str = "cpu", falsifiers: str = FALSIFIERS) -> Path:
    """Contracts, ship.yaml and a candidate, which harness.toml names; `slow` depends on `doubling`.

    Only the platform `on` discharges `doubling`.
    """
    contract(folder / "contracts", "doubling", ["doubles"], on=on, falsifiers=falsifiers)
    contract(folder / "contracts", "slow", ["slowly"], after="doubling", on="cpu, cuda", falsifiers=falsifiers)
    (folder / "contracts" / "ship.yaml").write_text(SHIP, encoding="utf-8")
    (folder / "good.py").write_text(CANDIDATE, encoding="utf-8")
    (folder / "harness.toml").write_text('candidate = "good.py"\n', encoding="utf-8")
    return folder


def with_a_table(folder: Path) -> Path:
    """Let the candidate of a furnished folder read a table and import a file beside it."""
    (folder / "data").mkdir()
    np.ones(2, np.float32).tofile(folder / "data" / "table.bin")
    (folder / "side.py").write_text("def add(a, b):\n    return a + b\n", encoding="utf-8")
    (folder / "good.py").write_text(READS, encoding="utf-8")
    return folder


class Opened(NamedTuple):
    """A folder with what ships, after its claims ended: all of which a sealed run is made."""

    folder: Path
    checked: Checked
    begun: Begun
    files: dict[str, dict[str, bytes]]
    """Claim -> its files."""

    def sealed(self, run: store.Run) -> Path:
        """Seal a run into which all claims were deposited; returns its folder."""
        claims = [claim for each in self.checked.contracts for claim in each.claims]
        return seal(run, self.begun, self.checked, claims, 0.0).folder


def open_shop(folder: Path) -> tuple[Path, Path]:
    """(a new folder with what ships, a sealed run of it on the CPU, which opens the gate)."""
    opened = ran(folder)
    run = store.begin(folder / "evidence")
    for claim, files in opened.files.items():
        run.deposit(claim, files)
    with contextlib.chdir(folder):
        return folder, opened.sealed(run)


def ran(folder: Path) -> Opened:
    """Furnish a new folder and try its claims in this process; nothing is written as evidence."""
    with_a_table(furnish(folder, falsifiers=FALSIFIERS.replace("time.sleep(0.4)", "pass")))
    for path in (folder / "contracts").glob("*.yaml"):
        # Two cases are the corners: drawing more would cost half of a verify, which draws them again.
        path.write_text(path.read_text(encoding="utf-8").replace("examples: 4", "examples: 2"), encoding="utf-8")
    with contextlib.chdir(folder):
        checked = check(["contracts"])
        begun = provenance.started(_options(), checked, _host())
        claims = [claim for each in checked.contracts for claim in each.claims]
        return Opened(folder, checked, begun, {claim.id: _files(claim) for claim in claims})


def _files(claim: Claim) -> dict[str, bytes]:
    """A claim's files after an experiment in this process, with the files that its candidate reads."""
    place = Path(claim.path).parent
    assert claim.baseline is not None
    own = mutants_of(binding.module(claim.falsifier, place))
    experiment = Experiment(
        falsifier=binding.attribute(claim.falsifier, place),
        given=claim.given,
        cases=plan(claim, 0),
        extras=measures(claim.accept),
        device="cpu",
        candidate=binding.module("good.py"),
        baseline=binding.module(claim.baseline, place),
        mutants={name: own[name] for name in claim.mutants},
    )
    seen = record(experiment, "cpu")
    files = {name: file_digest(Path(name)) for name in ("data/table.bin", "good.py", "side.py")}
    read: FilesRead = {"candidate": files, "working": {}, "left_out": 0}
    found = Examined(seen, judge(claim.source, seen))
    return result.files(claim, found, device="cpu", seconds=0.0, read=read)[1]


def _options() -> Options:
    paths, candidate = ["contracts"], "good.py"
    return {"paths": paths, "candidate": candidate, "weights": None, "device": "cpu", "seed": 0, "select": "",
            "no_mutants": False}  # fmt: skip


def _host() -> Host:
    versions = {}
    for name in ("numpy", "hypothesis"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return {
        "device_asked": "cpu",
        "device": "cpu",
        "device_missing": None,
        "isolation": "none",
        "candidate": identity("good.py"),
        "host": {
            "python": platform.python_version(),
            "system": sys.platform,
            "cores": 1,
            "blas": "",
            "device": None,
        },
        "versions": versions,
    }
