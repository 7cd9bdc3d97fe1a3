"""Mark evidence STALE if its contracts, code or candidate have changed, or if it is too old. Red stays red."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from harness.contract.validate import check
from harness.errors import UserError
from harness.evidence.body import ContractEntry, RunBody
from harness.evidence.provenance import code_digests, describe
from harness.evidence.summary import Settled, fields
from harness.judging.cause import Cause
from harness.judging.result import ClaimRow
from harness.judging.verdict import Verdict
from harness.subject import candidate
from harness.subject.identity import Identity, identity

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `7d`.

    Raises: ValueError with one line if the text is not a whole number above 0 and a unit.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if not found or not int(found[1]):
        raise ValueError(f"found {text!r}, expected a whole number and s, m, h, d or w, like 24h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def by_contracts(folder: Path, body: RunBody, contracts: str) -> None:
    """Mark claims that survived if their contract, the code or the candidate has changed since the run."""
    checked = check([Path(contracts)])
    at_hand = {contract.id: _identity(describe(contract, checked)) for contract in checked.contracts}
    sealed = {c["id"]: _identity(c) for c in body["contracts"]}
    now, then = code_digests(), body["code"]
    code = [f"package {name}" for name in sorted({*now, *then}) if now.get(name) != then.get(name)]
    code += [] if _at_hand(body["candidate"]) else [f"candidate {body['candidate']['spec']}"]
    for row in body["claims"]:
        contract = row["contract"]
        changed = ([f"contract {contract}"] if at_hand.get(contract) != sealed[contract] else []) + code
        if changed:
            _mark(row, f"{', '.join(changed)} changed since {folder.name}", Cause.CHANGED_SINCE)


def by_age(folder: Path, body: RunBody, limit: timedelta, now: datetime) -> list[str]:
    """Mark claims that survived in a run that began longer ago than `limit`.

    Returns one line if the start time of the run is malformed or in the future, else nothing.
    """
    try:
        began = datetime.fromisoformat(body["began"])
        age = now - began
    except (KeyError, TypeError, ValueError):
        found = body.get("began", "no time")
        return [f"{folder / 'run.json'}: began is {found!r}, expected a date and time with its zone; run again"]
    if age < timedelta(0):
        return [f"{folder / 'run.json'}: began {body['began']}, which is in the future; set the clocks and run again"]
    if not age <= limit:
        for row in body["claims"]:
            _mark(
                row,
                f"{folder.name} began {_duration_text(age)} ago, --max-age is {_duration_text(limit)}",
                Cause.TOO_OLD,
            )
    return []


def _mark(row: ClaimRow, reason: str, cause: Cause) -> None:
    verdict = Verdict(row["verdict"])
    if verdict.survived or verdict is Verdict.BLOCKED:
        row.update(fields(Settled(Verdict.STALE.value, reason, cause.value)))


def _at_hand(sealed: Identity) -> bool:
    """Whether the candidate is unchanged since the run; also True if its source cannot be read on this machine."""
    spec = sealed["spec"]
    if ":" in spec and not spec.endswith(".py") and spec.partition(":")[0] not in candidate.READERS:
        return True  # a module would have to be imported, and importing runs its code
    try:
        found = identity(spec)
    except (UserError, OSError, ImportError):
        return True
    return bool(found["sha256"] == sealed["sha256"])


def _identity(contract: ContractEntry) -> tuple[str, dict[str, str]]:
    return contract["sha256"], contract["files"]


def _duration_text(time: timedelta) -> str:
    """A duration like `26 h`, in the largest unit of which it holds at least two."""
    seconds = int(time.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} s"
