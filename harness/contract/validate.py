"""Check contracts: read every file below some paths, report every mistake, and bind each claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.checks import check_claim, check_depends
from harness.contract.claim import Contract
from harness.contract.draft import CLAIMS, Draft
from harness.contract.location import contract_files, contracts_below, located
from harness.contract.names.modules import Modules
from harness.contract.names.reference import short
from harness.contract.names.resolve import Binding
from harness.contract.problem import DataPath, Mistake, Problem
from harness.contract.ship import Ship, find_ship, load_ship, unknown_claims


@dataclass(frozen=True)
class Checked:
    """The result of `check`: contracts without errors sorted by id, problems sorted by place, bindings by claim id."""

    contracts: tuple[Contract, ...]
    problems: tuple[Problem, ...]
    bindings: dict[str, Binding]
    ship: Ship | None
    files: int = 0
    """How many contract files were read, with or without errors."""
    claims: int = 0
    """How many claims the files hold."""
    unbound: tuple[str, ...] = ()
    """The ids of the claims that have `unbound` in place of a falsifier."""

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        return len(self.problems) - self.errors


def check(paths: Iterable[str | Path], *, apart: bool = False) -> Checked:
    """Read, check and bind every contract below `paths` (files, folders, `builtin:NAME`).

    `apart` skips the checks across contracts and against ship.yaml, for a caller that reads more contracts later.
    """
    paths = list(paths)
    files, problems = contract_files(paths)
    drafts = [Draft.read(file, "contract") for file in files]
    bindings = _check_claims(drafts)
    ship, ship_draft = (None, None) if apart else _load_ship(paths, problems)
    if not apart:
        neighbours = _Neighbours(drafts, ship_draft)
        _check_unique(drafts)
        _check_depends(drafts, neighbours)
    if ship is not None and ship_draft is not None:
        _check_ship(ship, ship_draft, drafts, neighbours)
    for draft in [*drafts, *([ship_draft] if ship_draft else [])]:
        problems += draft.problems
    contracts = [contract for draft in drafts if (contract := draft.contract()) is not None]
    return Checked(
        contracts=tuple(sorted(contracts, key=lambda contract: contract.id)),
        problems=tuple(sorted(set(problems))),
        bindings=bindings,
        ship=ship if ship_draft and not ship_draft.problems else None,
        files=len(drafts),
        claims=sum(len(draft.claims) for draft in drafts),
        unbound=tuple(sorted(claim.id for each in contracts for claim in each.claims if claim.unbound)),
    )


def _check_claims(drafts: list[Draft]) -> dict[str, Binding]:
    modules = Modules()
    bindings: dict[str, Binding] = {}
    for draft in drafts:
        for i, source in draft.claims.items():
            broken = draft.broken.get(i, frozenset())
            binding, findings = check_claim(source, broken, Path(draft.file).parent, modules)
            draft.add(*(finding.below(CLAIMS, i) for finding in findings))
            if binding is not None and "id" in source:
                bindings.setdefault(source["id"], binding)
    return bindings


def _check_unique(drafts: list[Draft]) -> None:
    """Report contract ids and claim ids that appear more than once over all files."""
    first: dict[tuple[str, str], str] = {}
    for draft in drafts:
        named: list[tuple[str, Any, DataPath]] = [("contract", draft.id, ("metadata", "id"))]
        named += [("claim", source.get("id"), (CLAIMS, i, "id")) for i, source in draft.claims.items()]
        for kind, name, path in named:
            if name is None:
                continue
            if (kind, name) in first:
                draft.add(
                    Mistake(path, f"{kind} id {name!r} is already at {first[kind, name]}; give one of them another")
                )
            first.setdefault((kind, name), draft.place(path))


def _check_depends(drafts: list[Draft], neighbours: _Neighbours) -> None:
    by_id = {draft.id: draft for draft in drafts if draft.id is not None}
    depends = {id_: draft.depends_on for id_, draft in by_id.items()}
    wanted = {need for needs in depends.values() for need in needs}
    elsewhere = neighbours.contracts if not wanted <= set(depends) else frozenset()
    # An unreadable file may define the ids that seem to be missing, and it has a mistake of its own.
    assumed = wanted if neighbours.unreadable else frozenset()
    for id_, finding in check_depends(depends, elsewhere | assumed):
        by_id[id_].add(finding)


def _load_ship(paths: list[str | Path], problems: list[Problem]) -> tuple[Ship | None, Draft | None]:
    """Load the first ship.yaml above the paths; warn of every further one, since a run uses only one."""
    found = dict.fromkeys(ship for path in paths if located(path).exists() and (ship := find_ship(located(path))))
    for other in list(found)[1:]:
        message = f"not used: {short(next(iter(found)))} comes first, and a run has one; give one path at a time"
        problems.append(Problem(short(other), 1, 1, "warning", message))
    return load_ship(Path(short(next(iter(found))))) if found else (None, None)


def _check_ship(ship: Ship, draft: Draft, drafts: list[Draft], neighbours: _Neighbours) -> None:
    known = {str(source.get("id")) for each in drafts for source in each.claims.values()}
    if not ship.claims <= known and not neighbours.unreadable:
        draft.add(*unknown_claims(ship, known | neighbours.claims))
    for each in drafts:
        for i, source in each.claims.items():
            if "id" in source and source["id"] not in ship.claims and source.get("ship_blocking", True):
                message = f"{source['id']} blocks shipping, but no criterion of {ship.path} names it; name it there"
                each.add(Mistake((CLAIMS, i, "id"), f"{message}, or write ship_blocking: false", "warning"))


class _Neighbours:
    """The ids in contracts outside the paths being checked, read when first needed.

    These contracts lie below ship.yaml's folder; without a ship.yaml, in the same folders as the checked files.
    """

    def __init__(self, drafts: list[Draft], ship: Draft | None) -> None:
        self._known = {Path(draft.file).resolve() for draft in drafts}
        self.unreadable = any(draft.data is None for draft in drafts)
        self._ship = Path(ship.file).parent if ship else None
        self._beside = sorted({Path(draft.file).parent for draft in drafts})
        self._drafts: list[Draft] | None = None

    @property
    def contracts(self) -> frozenset[str]:
        return frozenset(draft.id for draft in self._read() if draft.id is not None)

    @property
    def claims(self) -> frozenset[str]:
        return frozenset(str(source.get("id")) for draft in self._read() for source in draft.claims.values())

    def _read(self) -> list[Draft]:
        if self._drafts is None:
            if self._ship:
                files = list(contracts_below(self._ship))
            else:
                files = [file for folder in self._beside for file in sorted(folder.glob("*.y*ml"))]
            self._drafts = [Draft.read(file, None) for file in files if file.resolve() not in self._known]
        return self._drafts
