"""Several runs as one answer: same candidate, code and contracts only; any red wins, else the most discharging.

A CPU runner and a GPU box run the same contracts, or different ones, or parts of them; claim by claim the run that
knows most speaks. BLOCKED is no run's to say: a contract may be red in one run and its survivors in another, so it
is settled again over the merged verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.evidence import store
from harness.evidence.summary import NOT_SELECTED, count, settle
from harness.judging import ship
from harness.judging.verdict import ORDER, Verdict

Body = dict[str, Any]


def merge(runs: Sequence[tuple[Path, Body]], ship_yaml: Mapping[str, Any]) -> Body:
    """Claims, counts and targets over all runs (folder, run.json); each claim says from which `run` it comes.

    Raises: UserError if the runs are not of one candidate, code and weights, or differ in a contract both have.
    """
    _refuse_others(runs)
    rows: dict[str, Body] = {}
    depends_on: dict[str, list[str]] = {}
    for folder, body in runs:
        depends_on |= {c["id"]: c["depends_on"] for c in body["contracts"]}
        for row in _unblocked(folder, body):
            held = rows.setdefault(row["id"], row)
            if held["contract"] != row["contract"]:
                raise UserError(
                    f"{folder}: {row['id']} is a claim of {row['contract']}, elsewhere of {held['contract']}; "
                    "give one of the claims another id and run again"
                )
            rows[row["id"]] = _stronger(held, row)
    for claim, (verdict, reason) in settle(rows, depends_on).items():
        rows[claim] |= {"verdict": verdict, "reason": reason}
    claims = list(rows.values())
    verdicts = {row["id"]: Verdict(row["verdict"]) for row in claims}
    return {"counts": count(claims), "claims": claims, "targets": ship.targets(ship_yaml, verdicts)}


def plan(folders: Sequence[Path]) -> Body:
    """The ship.yaml of all runs as one, as data: runs may know different targets, but not the same one differently.

    Raises: UserError naming the target that two runs define differently.
    """
    from harness.contract.text.reader import load_yaml

    found: dict[str, tuple[Path, Any]] = {}
    for folder in folders:
        path = folder / "ship.yaml"
        targets = load_yaml(path)[0]["targets"] if path.is_file() else {}
        for name, entry in targets.items():
            first, held = found.setdefault(name, (path, entry))
            if held != entry:
                raise UserError(f"{path}: target {name} is not as in {first}; only runs of the same target merge")
    return {"targets": {name: entry for name, (_, entry) in found.items()}}


def mergeable(runs: Sequence[tuple[Path, Body]]) -> bool:
    """Whether the runs are of one candidate, code and weights, and of the same contracts where they share any."""
    try:
        _refuse_others(runs)
    except UserError:
        return False
    return True


def _refuse_others(runs: Sequence[tuple[Path, Body]]) -> None:
    """One line that names what differs, and between which runs."""
    contracts: dict[str, tuple[Path, Any]] = {}
    first, *_ = runs
    for folder, body in runs:
        for kind, known, found in _identities(first[1], body):
            if known != found:
                what = ", ".join(name for name in sorted({*known, *found}) if known.get(name) != found.get(name))
                raise UserError(
                    f"{folder}: not of the same {kind} as {first[0]} ({what}); only runs of the same {kind} merge"
                )
        for contract in body["contracts"]:
            digests = (contract["sha256"], contract["files"])
            where, held = contracts.setdefault(contract["id"], (folder, digests))
            if held != digests:
                raise UserError(
                    f"{folder}: not of the same contract {contract['id']} as {where}; "
                    "run one of them again: only runs of the same contract merge"
                )


def _identities(a: Body, b: Body) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(what, its parts in one run, its parts in the other)."""
    return [
        ("candidate", _candidate(a["candidate"]), _candidate(b["candidate"])),
        ("code", a["code"], b["code"]),
        ("weights", _weights(a), _weights(b)),
    ]


def _weights(body: Body) -> Body:
    return {"sha256": (body.get("weights") or {}).get("sha256")}


def _candidate(found: Body) -> Body:
    """A folder or file may lie elsewhere on another host, where its digest says what it holds."""
    spec = str(found["spec"])
    scheme = spec.partition(":")[0]
    if scheme in ("hf", "gguf") and not spec.endswith(".py"):
        return {**found, "spec": scheme}
    return {**found, "spec": spec.rpartition("/")[2] if ".py" in spec else spec}


def _unblocked(folder: Path, body: Body) -> list[Body]:
    """The run's claims with the verdicts they had before another contract's red one blocked them."""
    rows = [{**row, "run": body["id"]} for row in body["claims"]]
    for row in rows:
        if row["verdict"] == Verdict.BLOCKED:
            result = store.read_json(folder / "claims" / row["id"] / "result.json")
            row |= {"verdict": result["verdict"], "reason": result["reason"]}
    return rows


def _stronger(a: Body, b: Body) -> Body:
    """The red one if either is red, else the one that discharges most; among equals the one that was selected."""
    pair = sorted((a, b), key=lambda row: ORDER.index(Verdict(row["verdict"])))
    if Verdict(pair[0]["verdict"]).red:
        return pair[0]
    if a["verdict"] == b["verdict"]:
        return b if a["reason"] == NOT_SELECTED else a
    return pair[1]
