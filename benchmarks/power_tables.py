"""What `power.py` found, as lines and as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any


def line(outcome: Any) -> str:
    """One version in one line: caught and by which claim, or missed and its trigger; then its alarms."""
    version = outcome.version
    kind = f"{version.family} {version.name} ({version.rare or 'ordinary'})"
    text = f"caught  {kind}: {outcome.caught}" if outcome.caught else f"MISSED  {kind}: {version.does}"
    return "\n".join([text, *(f"ALARM   right twin of {version.name}: {alarm}" for alarm in outcome.alarms)])


def markdown(outcomes: Sequence[Any], rules: Sequence[str], seed: int) -> str:
    """The tables of docs/power.md: by class, by subject, and what was missed."""
    parts = [
        f"{len(outcomes)} versions, seed {seed}; {sum(bool(o.alarms) for o in outcomes)} right twins with an alarm."
    ]
    parts.append(_table(("class", "versions", "caught", *rules), _by(outcomes, rules, lambda o: o.version.kind)))
    parts.append(_table(("subject", "versions", "caught", *rules), _by(outcomes, rules, lambda o: o.version.family)))
    missed = [o for o in outcomes if not o.caught]
    parts.append(
        _table(
            ("missed", "subject", "trigger", "what is wrong", "claims run"),
            [(f"`{o.version.name}`", o.version.op, o.version.rare or "ordinary", _why(o), o.claims) for o in missed],
        )
    )
    return "\n\n".join(parts) + "\n"


def _why(outcome: Any) -> str:
    stopped = f" (stopped: {outcome.stopped[0]})" if outcome.stopped else ""
    return (outcome.version.does + stopped).replace("|", "\\|")


def _by(outcomes: Sequence[Any], rules: Sequence[str], key: Callable[[Any], str]) -> list[tuple[Any, ...]]:
    names = sorted({key(o) for o in outcomes})
    groups = [(name, [o for o in outcomes if key(o) == name]) for name in names] + [("all", list(outcomes))]
    return [
        (
            name,
            len(group),
            _share(bool(o.caught) for o in group),
            *(_share(not o.passed[rule] for o in group) for rule in rules),
        )
        for name, group in groups
    ]


def _share(hits: Iterable[bool]) -> str:
    found = list(hits)
    return f"{sum(found)} ({100 * sum(found) / max(len(found), 1):.0f} %)"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])
