"""Several runs as one answer: same candidate and contracts only; any red wins, else the most discharging."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import ship
from harness.errors import UserError
from harness.summary import count
from harness.verdict import ORDER, Verdict

Body = dict[str, Any]


def merge(runs: Sequence[tuple[Path, Body]], ship_yaml: dict[str, Any]) -> Body:
    """Claims, counts and targets over all runs.

    Raises: UserError if the runs are not of one candidate, code and set of contracts.
    """
    (first_path, first), *others = runs
    for path, body in others:
        for key, value in sameness(body).items():
            if value != sameness(first)[key]:
                raise UserError(f"{path}: its {key} differs from {first_path}'s; only runs of the same {key} merge")
    rows: dict[str, Body] = {}
    for _, body in runs:
        for row in body["claims"]:
            held = rows.get(row["id"])
            rows[row["id"]] = row if held is None else _stronger(held, row)
    claims = list(rows.values())
    verdicts = {row["id"]: Verdict(row["verdict"]) for row in claims}
    return {"counts": count(claims), "claims": claims, "targets": ship.targets(ship_yaml, verdicts)}


def sameness(body: Body) -> dict[str, Any]:
    """What two runs must share to be one answer."""
    digests = {c["id"]: (c["sha256"], c["files"]) for c in body["contracts"]}
    return {"candidate": body["candidate"], "code": body["code"], "set of contracts": digests}


def _stronger(a: Body, b: Body) -> Body:
    """The red one if either is red, else the one that discharges most."""
    pair = sorted((a, b), key=lambda row: ORDER.index(Verdict(row["verdict"])))
    return pair[0] if Verdict(pair[0]["verdict"]).red else pair[1]
