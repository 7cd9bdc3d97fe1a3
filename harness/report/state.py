"""Runs of one candidate, code and set of contracts, merged into one answer; and those answers in order of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract.text.reader import load_yaml
from harness.evidence.manifest import NAME as MANIFEST
from harness.evidence.merge import merge, mergeable
from harness.evidence.store import read_json

Body = dict[str, Any]


@dataclass(frozen=True)
class State:
    """What was known of one candidate under one code and one set of contracts."""

    runs: tuple[tuple[Path, Body], ...]
    """(folder, run.json), oldest first."""

    @property
    def newest(self) -> Body:
        return self.runs[-1][1]

    @property
    def began(self) -> str:
        return str(self.newest["began"])

    @cached_property
    def merged(self) -> Body:
        """Counts, claims and targets over all runs, by the ship.yaml of the newest run that has the target."""
        return merge(self.runs, _ship(self.runs))

    @cached_property
    def rows(self) -> dict[str, Body]:
        """Claim id -> its row."""
        return {row["id"]: row for row in self.merged["claims"]}

    @cached_property
    def sources(self) -> dict[str, tuple[Path, Body]]:
        """Claim id -> the run that its row comes from."""
        owners = {body["id"]: (folder, body) for folder, body in self.runs}
        return {row["id"]: owners[row["run"]] for row in self.merged["claims"]}

    def file(self, claim: str, name: str) -> Any:
        """A JSON file of a claim in the run that its row comes from; None if it has none."""
        path = self.sources[claim][0] / "claims" / claim / name
        return read_json(path) if path.is_file() else None


def states(folders: Iterable[Path]) -> list[State]:
    """Sealed runs as states, oldest first; the last one is the present.

    Runs that merge (one candidate, code and weights; the same contracts where they share any) are one state; a run
    named twice counts once.
    """
    named = {str(read_json(folder / MANIFEST)["digest"]): folder for folder in reversed(list(folders))}
    runs = sorted(((folder, read_json(folder / "run.json")) for folder in named.values()), key=_when)
    groups: list[list[tuple[Path, Body]]] = []
    for run in runs:
        group = next((group for group in groups if mergeable([*group, run])), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return sorted((State(tuple(group)) for group in groups), key=lambda state: _when(state.runs[-1]))


def _when(run: tuple[Path, Body]) -> tuple[str, str]:
    return run[1]["began"], run[1]["id"]


def _ship(runs: tuple[tuple[Path, Body], ...]) -> Body:
    """The targets of all runs, each as the newest run that has it knows it."""
    targets: Body = {}
    for path in (folder / "ship.yaml" for folder, _ in runs):
        targets |= load_yaml(path)[0]["targets"] if path.is_file() else {}
    return {"targets": targets}
