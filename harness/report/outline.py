"""What a report says at a glance: the present state, what moved since the earlier ones, and the open work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from harness.evidence import summary
from harness.judging import ship
from harness.judging.verdict import ORDER, Verdict
from harness.report import work
from harness.report.movement import moved
from harness.report.state import Body, State

GROUPLESS = "contracts"


def outline(history: Sequence[State]) -> dict[str, Any]:
    """Everything but the claims' own pages, as plain data; the last state is the present."""
    now, before = history[-1], earlier(history)
    movement = moved(before, now) if before else None
    return {
        "state": _about(now),
        "headline": headline(now),
        "counts": now.merged["counts"],
        "targets": [_target(target, history, before) for target in now.merged["targets"]],
        "red": sorted((row for row in now.merged["claims"] if Verdict(row["verdict"]).red), key=_precedence),
        "movement": movement,
        "unselected": _unselected(movement),
        "before": _about(before) if before else None,
        "history": [_about(state) for state in history],
        "work": work.ranked(now.merged["targets"], now.rows),
        "matrix": matrix(now),
        "runs": [{**body, "folder": folder.as_posix()} for folder, body in now.runs],
    }


def earlier(history: Sequence[State]) -> State | None:
    """What the present is compared with: the last earlier state of the same candidate by name, else the last one."""
    past = list(history[:-1])
    same = [s for s in past if s.newest["candidate"]["spec"] == history[-1].newest["candidate"]["spec"]]
    return (same or past)[-1] if past else None


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


def _precedence(row: Body) -> int:
    return ORDER.index(Verdict(row["verdict"]))


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


def _target(target: dict[str, Any], history: Sequence[State], before: State | None) -> dict[str, Any]:
    """A target with its line, what keeps it closed, and its ship-% in every state."""
    percents = [_percent(state, target["id"]) for state in history]
    past = _percent(before, target["id"]) if before else None
    return {
        **target,
        "line": ship.line(target),
        "closed": len(work.closed(target)),
        "percents": percents,
        "moved": None if past is None else round(target["ship_percent"] - past, 2),
    }


def _percent(state: State, target: str) -> float | None:
    return next((float(t["ship_percent"]) for t in state.merged["targets"] if t["id"] == target), None)


def _unselected(movement: dict[str, Any] | None) -> int:
    """How many verdicts changed only because -k left the claim out."""
    return sum(change["reason"] == summary.NOT_SELECTED for change in movement["verdicts"]) if movement else 0
