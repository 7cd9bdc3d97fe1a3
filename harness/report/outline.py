"""The overview of a report: the present state, what moved since the earlier ones, and the open work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TypedDict

from harness.evidence.body import RunBody
from harness.judging import ship
from harness.judging.result import ClaimRow, MergedRow
from harness.judging.ship import TargetRow
from harness.judging.verdict import ORDER, Verdict
from harness.report import work
from harness.report.movement import Movement, moved
from harness.report.state import State

GROUPLESS = "contracts"


class About(TypedDict):
    """The runs, time, candidate and devices of a state."""

    runs: list[str]
    began: str
    day: str
    time: str
    candidate: str
    devices: list[str]
    narrowed: int
    """Claims that -k left out."""
    claims: int


class Target(TargetRow):
    """A target with its printed line, the number of criteria that keep it closed, and its ship-% in every state."""

    line: str
    closed: int
    percents: list[float | None]
    moved: float | None


class GroupCounts(TypedDict):
    """The number of claims for each verdict in a group of contracts."""

    group: str
    counts: list[int]
    total: int


class Matrix(TypedDict):
    """The number of claims for each group of contracts and each verdict."""

    verdicts: list[str]
    rows: list[GroupCounts]
    groups: dict[str, str]


class RunEntry(RunBody):
    """A run.json with its folder."""

    folder: str


class Outline(TypedDict):
    """All data of a report except the claims' own pages."""

    state: About
    headline: str
    counts: dict[str, int]
    targets: list[Target]
    red: list[MergedRow]
    movement: Movement | None
    unselected: int
    """Verdicts that changed only because -k left the claim out."""
    before: About | None
    history: list[About]
    work: list[work.Item]
    matrix: Matrix
    runs: list[RunEntry]


def outline(history: Sequence[State]) -> Outline:
    """All data of a report except the claims' own pages; the last state of `history` is the present."""
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
    """The state to compare the present with: the last earlier one of the same candidate spec, else the last one."""
    past = list(history[:-1])
    same = [s for s in past if s.newest["candidate"]["spec"] == history[-1].newest["candidate"]["spec"]]
    return (same or past)[-1] if past else None


def headline(state: State) -> str:
    """How many targets can ship and how many claims are red."""
    targets = state.merged["targets"]
    red = sum(Verdict(row["verdict"]).red for row in state.merged["claims"])
    reds = f"{red} claim{'s are' if red != 1 else ' is'} red" if red else "No claim is red"
    if not targets:
        return f"{reds}; no targets are named."
    ready = sum(not work.closed(target) for target in targets)
    return f"{ready} of {len(targets)} targets can ship. {reds}."


def matrix(state: State) -> Matrix:
    """Count claims by group of contracts (the name of their folder) and verdict."""
    paths = {c["id"]: PurePosixPath(c["path"]).parent.name for _, body in state.runs for c in body["contracts"]}
    groups: dict[str, list[str]] = {}
    for row in state.merged["claims"]:
        groups.setdefault(paths.get(row["contract"]) or GROUPLESS, []).append(row["verdict"])
    shown: list[str] = [v.value for v in ORDER if v.value in state.merged["counts"]]
    rows: list[GroupCounts] = [
        {"group": g, "counts": [vs.count(v) for v in shown], "total": len(vs)} for g, vs in sorted(groups.items())
    ]
    return {"verdicts": shown, "rows": rows, "groups": {c: name or GROUPLESS for c, name in paths.items()}}


def _precedence(row: ClaimRow) -> int:
    return ORDER.index(Verdict(row["verdict"]))


def _about(state: State) -> About:
    body = state.newest
    return {
        "runs": [run["id"] for _, run in state.runs],
        "began": state.began,
        "day": state.began[:10],
        "time": state.began[11:16],
        "candidate": body["candidate"]["spec"],
        "devices": list(dict.fromkeys(run["device"] for _, run in state.runs)),
        "narrowed": sum(not row["selected"] for row in state.merged["claims"]),
        "claims": len(state.merged["claims"]),
    }


def _target(target: TargetRow, history: Sequence[State], before: State | None) -> Target:
    """Add the derived fields of `Target` to a merged target row."""
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
    return next((t["ship_percent"] for t in state.merged["targets"] if t["id"] == target), None)


def _unselected(movement: Movement | None) -> int:
    """Count the verdicts that changed only because -k left the claim out."""
    return sum(not change["selected"] for change in movement["verdicts"]) if movement else 0
