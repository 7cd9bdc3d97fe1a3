"""A laboratory of real runs for the report's tests: every verdict, hostile text, a history, any number of claims."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from harness.contract.claim import Claim, canonical
from harness.evidence import manifest, store, summary
from tests.support.command import as_json, light

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> | a | b "
    "`tick` [link](javascript:alert(1)) <!-- ]]> &lt; {{ 7 * 7 }} $x$ ``` @someone #12 https://example.org/x"
)
FALSIFIERS = '''
from types import SimpleNamespace
import numpy as np
from harness.observation import Observation

def doubles(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)))

def doubles_stages(subject, case, *, rows, replaced):
    x = case.normal("x", (rows, 8))
    got, want = subject.double(x), 2 * x.astype(np.float64)
    return [("first", got, want), ("second", want if replaced else got, want)]

def drifts(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    losses = [float(np.mean(subject.double(x)) + i / 10) for i in range(10)]
    return Observation(y=(subject.double(x), 2 * x.astype(np.float64)), series={"loss": losses, "flat": [1, 1]})

def misjudges(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.double(x), 2.5 * x))

def raises(subject, case, *, rows):
    raise RuntimeError("no such kernel")

def absent(subject, case, *, rows):
    x = case.normal("x", (rows, 8))
    return Observation(y=(subject.halve(x), x / 2))

def triples(baseline):
    """Three for two."""
    return SimpleNamespace(double=lambda x: 3 * x, halve=lambda x: 3 * x)

def slightly(baseline):
    """One part in a thousand too much."""
    return SimpleNamespace(double=lambda x: x * 2.001, halve=lambda x: x)

def right_all_along(baseline):
    """Not wrong at all, so no falsifier can kill it."""
    return baseline

MUTANTS = {"triples": triples, "slightly": slightly, "right_all_along": right_all_along}
'''
GOOD = "def double(x):\n    return x + x\n"
BASELINE = GOOD + "\ndef halve(x):\n    return x / 2\n"
WRONG = "def double(x):\n    return x * 2.001\n"
CLAIMS: dict[str, dict[str, Any]] = {
    "DOUBLES": {"falsifier": "own.py:doubles"},
    "DRIFTS": {"falsifier": "own.py:drifts", "discharges_on": ["cuda"]},
    "RAISES": {"falsifier": "own.py:raises"},
    "ABSENT": {"falsifier": "own.py:absent"},
    "VACUOUS": {"falsifier": "own.py:doubles", "mutants": ["triples", "right_all_along"]},
    "UNSOUND": {"falsifier": "own.py:misjudges"},
    "RESTS": {"falsifier": "own.py:doubles"},
}


def claim(name: str) -> dict[str, Any]:
    """One entry of the laboratory's contract; its texts are hostile."""
    entry = {"mutants": ["triples", "slightly"], "discharges_on": ["cpu"], **CLAIMS[name]}
    return {
        "id": f"FALSIFY-{name}-001",
        "rule": f"y is twice x {HOSTILE}",
        "prediction": f"it is {HOSTILE}",
        "baseline": "base.py",
        "explore": {"rows": {"boundary": [1, 5]}},
        "examples": 6,
        "accept": {"rel_l2_err": {"le": 1e-6, "why": f"exact {HOSTILE}"}},
        "budget_s": 2,
        "ship_blocking": name in ("DOUBLES", "DRIFTS"),
        "if_fails": f"look at double {HOSTILE}",
        **entry,
    }


def build(folder: Path) -> None:
    """Contracts, ship.yaml and a right candidate, `kernel<b>.py`."""
    for name, claims, after in (
        ("doubling", ["DOUBLES", "DRIFTS"], []),
        ("trouble", ["RAISES", "ABSENT", "VACUOUS", "UNSOUND"], []),
        ("resting", ["RESTS"], ["trouble"]),
    ):
        group = folder / "contracts" / name
        group.mkdir(parents=True)
        (group / "own.py").write_text(FALSIFIERS, encoding="utf-8")
        (group / "base.py").write_text(BASELINE, encoding="utf-8")
        head = {
            "id": name,
            "version": "1.0.0",
            "title": HOSTILE,
            "description": "d",
            "references": [],
            "depends_on": after,
        }
        text = {"metadata": head, "equations": {"y": "2 x"}, "falsification_tests": [claim(c) for c in claims]}
        (group / f"{name}.yaml").write_text(yaml.safe_dump(text, sort_keys=False, width=4000), encoding="utf-8")
    criteria = [
        {"id": "X1", "title": f"doubles {HOSTILE}", "weight": 3, "effort_hours": 1, "claims": ["FALSIFY-DOUBLES-001"]},
        {"id": "X2", "title": "drifts", "weight": 2, "effort_hours": 4, "claims": ["FALSIFY-DRIFTS-001"]},
        {"id": "X3", "title": "none yet", "weight": 1, "effort_hours": 2, "claims": [], "open": [HOSTILE]},
    ]
    ready = [{"id": "Y1", "title": "doubles", "weight": 1, "effort_hours": 1, "claims": ["FALSIFY-DOUBLES-001"]}]
    ship = {
        "targets": {"doubling": {"title": HOSTILE, "criteria": criteria}, "ready": {"title": "r", "criteria": ready}}
    }
    (folder / "contracts" / "ship.yaml").write_text(yaml.safe_dump(ship, sort_keys=False, width=4000), encoding="utf-8")
    (folder / "kernel<b>.py").write_text(GOOD, encoding="utf-8")


def run(folder: Path, *arguments: str) -> Path:
    """A sealed run of the laboratory's contracts."""
    done = light(folder, "run", "contracts", "--candidate", "kernel<b>.py", "-j", "2", "--json", *arguments)
    return folder / as_json(done)["evidence"]


def right_then_wrong(folder: Path) -> tuple[Path, Path]:
    """The laboratory in a folder, and the sealed runs of its right kernel and of the wrong one that followed."""
    build(folder)
    right = run(folder)
    (folder / "kernel<b>.py").write_text(WRONG, encoding="utf-8")
    return right, run(folder)


def multiplied(source: Path, target: Path, count: int) -> Path:
    """A sealed run of `count` claims: those of a real run over and over under other ids, each judged as before."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("claims", manifest.NAME))
    body = store.read_json(source / "run.json")
    rows = [row for row in body["claims"] if (source / "claims" / row["id"]).is_dir()]
    entries = {row["id"]: store.entry(source / "claims" / row["id"]) for row in rows}
    files = {row["id"]: {p.name: p.read_bytes() for p in (source / "claims" / row["id"]).iterdir()} for row in rows}
    many = []
    entered: dict[str, list[dict[str, Any]]] = {contract["id"]: [] for contract in body["contracts"]}
    for i in range(count):
        row = rows[i % len(rows)]
        name, read = f"{row['id']}-{i:04d}", entries[row["id"]]
        again = Claim(read.contract, read.path, read.line, {**read.source, "id": name})
        swaps = {row["id"].encode(): name.encode(), read.digest.encode(): again.digest.encode()}
        entered[read.contract].append(again.source)
        copied = target / "claims" / name
        copied.mkdir(parents=True)
        for file, content in files[row["id"]].items():
            if file != store.SEAL:
                (copied / file).write_bytes(_swapped(content, swaps))
        store.write_json(copied / store.SEAL, {"files": manifest.digests(copied, skip=(store.SEAL,))})
        many.append({**row, "id": name})
    for contract in body["contracts"]:
        path = target / "contracts" / f"{contract['id']}.json"
        path.write_bytes(canonical({**store.read_json(path), "falsification_tests": entered[contract["id"]]}))
        contract["sha256"] = manifest.file_digest(path)
    body["versions"]["hypothesis"] = "another"  # the claims have the cases of the claim that they are copies of
    body = {**body, "id": target.name, "claims": many, "selected": [row["id"] for row in many]}
    store.write_json(target / "run.json", {**body, **summary.recomputed(target, body)})
    manifest.write(target)
    return target


def _swapped(content: bytes, swaps: dict[bytes, bytes]) -> bytes:
    for old, new in swaps.items():
        content = content.replace(old, new)
    return content
