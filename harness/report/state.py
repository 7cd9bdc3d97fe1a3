"""Merge runs of one candidate, code and set of contracts into one state, and order the states by time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract.text.reader import load_yaml
from harness.evidence.body import Merged, RunBody
from harness.evidence.manifest import NAME as MANIFEST
from harness.evidence.merge import Runs, merge, mergeable
from harness.evidence.store import read_json
from harness.evidence.summary import fields, settled
from harness.judging.result import MergedRow, Result


@dataclass(frozen=True)
class State:
    """The merged runs of one candidate under one code and one set of contracts."""

    runs: tuple[tuple[Path, RunBody], ...]
    """(folder, run.json), oldest first."""

    @property
    def newest(self) -> RunBody:
        return self.runs[-1][1]

    @property
    def began(self) -> str:
        return self.newest["began"]

    @cached_property
    def merged(self) -> Merged:
        """Counts, claims and targets over all runs, by the ship.yaml of the newest run that has the target."""
        return merge(self.runs, _ship(self.runs))

    @cached_property
    def rows(self) -> dict[str, MergedRow]:
        """Claim id -> its row."""
        return {row["id"]: row for row in self.merged["claims"]}

    @cached_property
    def sources(self) -> dict[str, tuple[Path, RunBody]]:
        """Claim id -> the run that its row comes from."""
        owners = {body["id"]: (folder, body) for folder, body in self.runs}
        return {row["id"]: owners[row["run"]] for row in self.merged["claims"]}

    def result(self, claim: str) -> Result | None:
        """The claim's result.json in the run that its row comes from, with the row's verdict; None if it did not run.

        The row's verdict differs from result.json if a contract that the claim depends on is red.
        """
        path = self.sources[claim][0] / "claims" / claim / "result.json"
        if not path.is_file():
            return None
        found: Result = read_json(path)
        return {**found, **fields(settled(self.rows[claim]))}


def states(folders: Iterable[Path]) -> list[State]:
    """Group sealed runs into states, oldest first; the last one is the present.

    Runs that merge (one candidate, code and weights; the same contracts where they share any) form one state; a
    run that is named twice counts once.
    """
    named = {str(read_json(folder / MANIFEST)["digest"]): folder for folder in reversed(list(folders))}
    found: list[tuple[Path, RunBody]] = [(folder, read_json(folder / "run.json")) for folder in named.values()]
    runs = sorted(found, key=_when)
    groups: list[list[tuple[Path, RunBody]]] = []
    for run in runs:
        group = next((group for group in groups if mergeable([*group, run])), None)
        if group is None:
            groups.append([run])
        else:
            group.append(run)
    return sorted((State(tuple(group)) for group in groups), key=lambda state: _when(state.runs[-1]))


def _when(run: tuple[Path, RunBody]) -> tuple[str, str]:
    return run[1]["began"], run[1]["id"]


def _ship(runs: Runs) -> dict[str, Any]:
    """The targets of all runs; a target comes from the newest run that has it."""
    targets: dict[str, Any] = {}
    for path in (folder / "ship.yaml" for folder, _ in runs):
        targets |= load_yaml(path)[0]["targets"] if path.is_file() else {}
    return {"targets": targets}
