"""Mark evidence STALE that is not of what is at hand, or that is too old. Red stays red."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from harness.evidence.body import RunBody
from harness.evidence.release.at_hand import AtHand
from harness.evidence.release.differences import Differences
from harness.evidence.summary import Settled, fields
from harness.judging.cause import Cause
from harness.judging.result import ClaimRow
from harness.judging.verdict import Verdict

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """Parse a duration such as `90m`, `24h` or `7d`.

    Raises: ValueError with one line if the text is not a whole number above 0 and a unit.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if not found or not int(found[1]):
        raise ValueError(f"found {text!r}, expected a whole number and s, m, h, d or w, like 24h or 7d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def by_hand(folder: Path, body: RunBody, hand: AtHand) -> list[str]:
    """Mark claims that survived if candidate, weights, contract, code or a file that was read is not the one at hand.

    Returns one line per source that is not here and was taken as recorded (`--trust-missing`).
    """
    found = Differences(folder.name, hand)
    found.candidate(body["candidate"])
    found.weights(body["weights"])
    found.code(body["code"])
    found.versions(body["versions"], body["host"]["python"])
    wide = found.take()
    for row in body["claims"]:
        if not _counts(row):
            continue
        found.contract(next(each for each in body["contracts"] if each["id"] == row["contract"]))
        found.files_read(folder / "claims" / row["id"])
        if why := [*wide, *found.take()]:
            _mark(row, "; ".join(why), Cause.CHANGED_SINCE)
    return found.trusted


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
    if _counts(row):
        row.update(fields(Settled(Verdict.STALE.value, reason, cause.value)))


def _counts(row: ClaimRow) -> bool:
    """Whether the claim survived, which alone earns credit; red stays red."""
    verdict = Verdict(row["verdict"])
    return verdict.survived or verdict is Verdict.BLOCKED


def _duration_text(time: timedelta) -> str:
    """A duration like `26 h`, in the largest unit of which it holds at least two."""
    seconds = int(time.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} s"
