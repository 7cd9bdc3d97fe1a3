"""Merge several runs of the same candidate, code and contracts into one list of claims.

A CPU runner and a GPU box run the same contracts, or different ones, or parts of them. For each claim a red verdict
wins over all others; without one, the verdict that discharges most wins, and every platform on which the claim survived
is kept for targets that name theirs. BLOCKED is decided again over the merged
verdicts, because a contract may be red in one run and the contracts that rest on it may be in another run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.evidence import store
from harness.evidence.body import Merged, RunBody
from harness.evidence.summary import count, fields, settled, with_blocked
from harness.judging import ship
from harness.judging.result import MergedRow, Result
from harness.judging.verdict import ORDER, Verdict

if TYPE_CHECKING:
    from harness.subject.identity import Identity

Parts = Mapping[str, str | None]
"""Name of a part -> its value, for the parts that identify a candidate, the code or the weights."""
Runs = Sequence[tuple[Path, RunBody]]
"""Folder and run.json of each run."""


def merge(runs: Runs, ship_yaml: Mapping[str, Any]) -> Merged:
    """Claims, counts and targets over all runs (folder, run.json); each claim names the `run` from which it comes.

    Raises: UserError if the runs differ in candidate, code or weights, or in a contract that both have.
    """
    _refuse_others(runs)
    rows: dict[str, MergedRow] = {}
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
            rows[row["id"]] = {**_stronger(held, row), "survived_on": _platforms(held, row)}
    for claim, final in with_blocked(rows, depends_on).items():
        rows[claim].update(fields(final))
    claims = list(rows.values())
    return {"counts": count(claims), "claims": claims, "targets": ship.targets(ship_yaml, rows)}


def plan(folders: Sequence[Path]) -> dict[str, Any]:
    """Merge the ship.yaml of all runs, as data: runs may have different targets, but must agree on shared ones.

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


def mergeable(runs: Runs) -> bool:
    """Whether the runs have the same candidate, code and weights, and agree in every contract that they share."""
    try:
        _refuse_others(runs)
    except UserError:
        return False
    return True


def _refuse_others(runs: Runs) -> None:
    """Check that the runs may be merged.

    Raises: UserError with one line that names what differs, and between which runs.
    """
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


def _identities(a: RunBody, b: RunBody) -> list[tuple[str, Parts, Parts]]:
    """(name of the thing compared, its parts in one run, its parts in the other)."""
    return [
        ("candidate", candidate_parts(a["candidate"]), candidate_parts(b["candidate"])),
        ("code", a["code"], b["code"]),
        ("weights", _weights(a), _weights(b)),
    ]


def _weights(body: RunBody) -> Parts:
    return {"sha256": body["weights"]["sha256"] if body["weights"] else None}


def candidate_parts(found: Identity) -> Parts:
    """The candidate's parts without its folder: another host may keep it elsewhere, and the digest identifies it."""
    spec = found["spec"]
    scheme = spec.partition(":")[0]
    if scheme in ("hf", "gguf") and not spec.endswith(".py"):
        spec = scheme
    elif ".py" in spec:
        spec = spec.rpartition("/")[2]
    return {"spec": spec, "sha256": found["sha256"], "reader": found.get("reader")}


def _unblocked(folder: Path, body: RunBody) -> list[MergedRow]:
    """The run's claims; a BLOCKED claim gets back the verdict from its own result.json."""
    rows: list[MergedRow] = [{**row, "run": body["id"]} for row in body["claims"]]
    for row in rows:
        if row["verdict"] == Verdict.BLOCKED:
            result: Result = store.read_json(folder / "claims" / row["id"] / "result.json")
            row.update(fields(settled(result)))
    return rows


def _platforms(a: MergedRow, b: MergedRow) -> list[str]:
    """Every platform on which the claim survived in either run; a run that is STALE shows no survival."""
    found = [name for row in (a, b) if Verdict(row["verdict"]).survived for name in row["survived_on"]]
    return list(dict.fromkeys(found))


def _stronger(a: MergedRow, b: MergedRow) -> MergedRow:
    """The red row if either is red, else the row that discharges most; for equal verdicts the selected row."""
    pair = sorted((a, b), key=lambda row: ORDER.index(Verdict(row["verdict"])))
    if Verdict(pair[0]["verdict"]).red:
        return pair[0]
    if a["verdict"] == b["verdict"]:
        return a if a["selected"] else b
    return pair[1]
