"""A claim as every report needs it: its merged row, its place in the repository, its part of the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract.text.reader import load_yaml
from harness.evidence import store
from harness.evidence.summary import NOT_SELECTED
from harness.judging.verdict import Verdict
from harness.words.narrative import story


@dataclass(frozen=True)
class Reported:
    """One claim over all runs."""

    row: Mapping[str, Any]
    run: Path
    """The run that speaks for it."""
    path: str
    """Its contract, relative to the root of the repository, or absolute where there is none."""
    line: int | None

    @property
    def id(self) -> str:
        return str(self.row["id"])

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.row["verdict"])

    @property
    def selected(self) -> bool:
        return bool(self.row["reason"] != NOT_SELECTED)

    @property
    def place(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The claim as its contract has it; empty if it did not run."""
        path = self.run / "claims" / self.id / "claim.yaml"
        return dict(load_yaml(path)[0]["claim"]) if path.is_file() else {}

    @cached_property
    def result(self) -> dict[str, Any]:
        """Its result.json; empty if it did not run."""
        path = self.run / "claims" / self.id / "result.json"
        return dict(store.read_json(path)) if path.is_file() else {}

    @property
    def brief(self) -> str:
        """`PARTIAL: survived on cpu; discharges on cuda`."""
        return f"{self.verdict.value}: {self.row['reason']}"

    @property
    def text(self) -> str:
        """A red claim's whole story with the command that shows it again; else its verdict and reason."""
        lines = story(self.id, self.row["contract"], self.result, str(self.run)) if self.verdict.red else [self.brief]
        return "\n".join([*lines, f"  contract  {self.place}"])


def reported(merged: Mapping[str, Any], runs: Sequence[tuple[Path, Mapping[str, Any]]]) -> list[Reported]:
    """The claims of `harness.evidence.merge.merge(runs, ...)`, in its order."""
    by_id = {body["id"]: (folder, body) for folder, body in runs}
    contracts = {(body["id"], c["id"]): c for _, body in runs for c in body["contracts"]}
    found = []
    for row in merged["claims"]:
        contract = contracts[row["run"], row["contract"]]
        path = contract.get("repository_path") or contract["path"]
        found.append(Reported(row, by_id[row["run"]][0], path, contract.get("lines", {}).get(row["id"])))
    return found
