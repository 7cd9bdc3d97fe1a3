"""A contract's file while it is checked: its data, the line and column of each part, and its problems so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim, Contract
from harness.contract.problem import DataPath, Mistake, Problem, closest
from harness.contract.schema import check_shape, claim_fields
from harness.contract.text.reader import Positions, load_yaml

CLAIMS = "falsification_tests"


@dataclass
class Draft:
    """One YAML file, read and checked against its schema. `broken`: claim index -> its fields of wrong shape."""

    file: str
    data: Any
    positions: Positions
    problems: list[Problem]
    broken: dict[int, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path, schema: str | None) -> Draft:
        """Read a file and check it against `schema`, `contract` or `ship`; None skips the check."""
        draft = cls(str(file), *load_yaml(file))
        if schema and (draft.data is not None or not draft.problems):
            findings = check_shape(draft.data, schema)
            draft.add(*findings)
            draft.broken = _broken(findings)
        return draft

    def add(self, *findings: Mistake) -> None:
        """Add mistakes to the problems, with their line and column."""
        for path, message, severity, at_key in findings:
            line, column = self.positions.at(path, key=at_key)
            self.problems.append(Problem(self.file, line, column, severity, message))

    def place(self, path: DataPath) -> str:
        """`file:line` of a value, for messages that point at a second place."""
        return f"{self.file}:{self.positions.at(path)[0]}"

    @property
    def id(self) -> str | None:
        """The contract's id, None if it is missing or not text."""
        metadata = self.data.get("metadata") if isinstance(self.data, dict) else None
        found = metadata.get("id") if isinstance(metadata, dict) else None
        return found if isinstance(found, str) else None

    @property
    def depends_on(self) -> list[str]:
        """The ids it depends on; empty if the list is missing or of wrong shape."""
        metadata = self.data.get("metadata") if isinstance(self.data, dict) else None
        found = metadata.get("depends_on") if isinstance(metadata, dict) else None
        return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else []

    @property
    def claims(self) -> dict[int, dict[str, Any]]:
        """Each claim that is a map, by its index, without its fields of wrong shape."""
        found = self.data.get(CLAIMS) if isinstance(self.data, dict) else None
        fields = claim_fields()
        return {
            i: {k: v for k, v in each.items() if k in fields and k not in self.broken.get(i, ())}
            for i, each in enumerate(found if isinstance(found, list) else ())
            if isinstance(each, dict)
        }

    def contract(self) -> Contract | None:
        """The contract as data, None if it has any error."""
        if any(problem.severity == "error" for problem in self.problems):
            return None
        id_ = str(self.id)
        claims = tuple(
            Claim(contract=id_, path=self.file, line=self.positions.at((CLAIMS, i))[0], source=each)
            for i, each in enumerate(self.data[CLAIMS])
        )
        return Contract(path=self.file, source=self.data, claims=claims)


def _broken(findings: list[Mistake]) -> dict[int, frozenset[str]]:
    """Claim index -> the fields with a mistake. For an unknown key, the field that it resembles is included."""
    fields: dict[int, set[str]] = {}
    for finding in findings:
        if finding.path[:1] == (CLAIMS,) and len(finding.path) > 2:
            index, name = finding.path[1:3]
            meant = closest(str(name), claim_fields()) if name not in claim_fields() else None
            fields.setdefault(int(index), set()).update({str(name), meant or str(name)})
    return {index: frozenset(names) for index, names in fields.items()}
