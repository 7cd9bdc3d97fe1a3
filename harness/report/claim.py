"""The data that every report needs of a claim: its merged row, its place in the repository, its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.contract.text.reader import load_yaml
from harness.evidence import store
from harness.evidence.body import Merged
from harness.evidence.merge import Runs
from harness.judging.result import MergedRow, Result
from harness.judging.verdict import Verdict
from harness.words.narrative import failure_lines


@dataclass(frozen=True)
class Reported:
    """One claim over all runs."""

    row: MergedRow
    run: Path
    """The folder of the run that its row comes from."""
    path: str
    """The path of its contract, relative to the root of the repository, or absolute outside a repository."""
    line: int | None

    @property
    def id(self) -> str:
        return self.row["id"]

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.row["verdict"])

    @property
    def selected(self) -> bool:
        return self.row["selected"]

    @property
    def place(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"

    @cached_property
    def entry(self) -> dict[str, Any]:
        """The claim's entry in its contract; empty if it did not run."""
        path = self.run / "claims" / self.id / "claim.yaml"
        return dict(load_yaml(path)[0]["claim"]) if path.is_file() else {}

    @cached_property
    def result(self) -> Result | None:
        """The claim's result.json; None if it did not run."""
        path = self.run / "claims" / self.id / "result.json"
        found: Result | None = store.read_json(path) if path.is_file() else None
        return found

    @property
    def brief(self) -> str:
        """`PARTIAL: survived on cpu; discharges on cuda`."""
        return f"{self.verdict.value}: {self.row['reason']}"

    @property
    def text(self) -> str:
        """A red claim's failure lines with the replay command; for any other claim its verdict and reason."""
        result = self.result if self.verdict.red else None
        lines = failure_lines(self.id, self.row["contract"], result, str(self.run)) if result else [self.brief]
        return "\n".join([*lines, f"  contract  {self.place}"])


def reported(merged: Merged, runs: Runs) -> list[Reported]:
    """The claims of `merged = harness.evidence.merge.merge(runs, ...)`, in its order."""
    by_id = {body["id"]: (folder, body) for folder, body in runs}
    contracts = {(body["id"], c["id"]): c for _, body in runs for c in body["contracts"]}
    found = []
    for row in merged["claims"]:
        contract = contracts[row["run"], row["contract"]]
        path = contract["repository_path"] or contract["path"]
        found.append(Reported(row, by_id[row["run"]][0], path, contract["lines"].get(row["id"])))
    return found
