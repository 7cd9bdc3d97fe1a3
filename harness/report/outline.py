"""What a report says at a glance: the present state, what moved since the earlier ones, and the open work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from harness import ship, summary
from harness.report import work
from harness.report.movement import moved
from harness.report.state import State
from harness.verdict import ORDER, Verdict

GROUPLESS = "contracts"


def outline(history: Sequence[State]) -> dict[str, Any]:
    """Everything but the claims' own pages, as plain data; the last state is the present."""
    now, before = history[-1], history[-2] if len(history) > 1 else None
    movement = moved(before, now) if before else None
    return {
        "state": _about(now),
        "headline": headline(now),
        "counts": now.merged["counts"],
        "targets": [_target(target, history) for target in now.merged["targets"]],
        "red": [row for row in now.merged["claims"] if Verdict(row["verdict"]).red],
        "movement": movement,
        "unselected": _unselected(movement),
        "before": _about(before) if before else None,
        "history": [_about(state) for state in history],
        "work": work.ranked(now.merged["targets"], now.rows),
        "matrix": matrix(now),
        "runs": [{**body, "folder": folder.as_posix()} for folder, body in now.runs],
    }


def headline(state: State) -> str:
    """What is not shipped, in one sentence."""
    targets = state.merged["targets"]
    red = sum(Verdict(row["verdict"]).red for row in state.merged["claims"])
    reds = f"{red} claim{'s are' if red != 1 else ' is'} red" if red else "No claim is red"
    if not targets:
        return f"{reds}; no targets are named."
    ready = sum(not work.closed(target) for target in targets)
    return f"{ready} of {len(targets)} targets can ship. {reds}."


def matrix(state: State) -> dict[str, Any]:
    """Claims per group of contracts (the folder they stand in) and verdict."""
    paths = {c["id"]: PurePosixPath(c["path"]).parent.name for _, body in state.runs for c in body["contracts"]}
    groups: dict[str, list[str]] = {}
    for row in state.merged["claims"]:
        groups.setdefault(paths.get(row["contract"]) or GROUPLESS, []).append(row["verdict"])
    shown = [v.value for v in ORDER if v.value in state.merged["counts"]]
    rows = [{"group": g, "counts": [vs.count(v) for v in shown], "total": len(vs)} for g, vs in sorted(groups.items())]
    return {"verdicts": shown, "rows": rows, "groups": {c: name or GROUPLESS for c, name in paths.items()}}


def _about(state: State) -> dict[str, Any]:
    body = state.newest
    return {
        "runs": [run["id"] for _, run in state.runs],
        "began": state.began,
        "day": state.began[:10],
        "time": state.began[11:16],
        "candidate": body["candidate"]["spec"],
        "devices": list(dict.fromkeys(run["device"] for _, run in state.runs)),
        "narrowed": sum(row["reason"] == summary.NOT_SELECTED for row in state.merged["claims"]),
        "claims": len(state.merged["claims"]),
    }


def _target(target: dict[str, Any], history: Sequence[State]) -> dict[str, Any]:
    """A target with its line, what keeps it closed, and its ship-% in every state."""
    past = [next((t for t in s.merged["targets"] if t["id"] == target["id"]), None) for s in history]
    percents = [t["ship_percent"] if t else None for t in past]
    earlier = percents[-2] if len(percents) > 1 else None
    return {
        **target,
        "line": ship.line(target),
        "closed": len(work.closed(target)),
        "percents": percents,
        "moved": None if earlier is None else round(target["ship_percent"] - earlier, 2),
    }


def _unselected(movement: dict[str, Any] | None) -> int:
    """How many verdicts changed only because -k left the claim out."""
    return sum(change["reason"] == summary.NOT_SELECTED for change in movement["verdicts"]) if movement else 0
