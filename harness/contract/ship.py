"""Read contracts/ship.yaml, which says which claims discharge each criterion of each target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.draft import Draft
from harness.contract.problem import Mistake, nearest

NAME = "ship.yaml"


@dataclass(frozen=True)
class Criterion:
    """One acceptance criterion. Its credit is the least credit of its claims; 0 without claims or with open parts."""

    id: str
    title: str
    weight: float
    effort_hours: float
    claims: tuple[str, ...]
    open: tuple[str, ...]
    """Parts of the criterion that no claim covers yet."""


@dataclass(frozen=True)
class Target:
    """A model or system to ship."""

    id: str
    title: str
    criteria: tuple[Criterion, ...]
    platform: str | None = None
    """Where it ships: a survival there discharges a claim; None: the claim's own `discharges_on` decides."""


@dataclass(frozen=True)
class Ship:
    """One ship.yaml."""

    path: str
    source: dict[str, Any]
    targets: tuple[Target, ...]

    @property
    def claims(self) -> frozenset[str]:
        """Every claim id that a criterion names."""
        return frozenset(claim for target in self.targets for each in target.criteria for claim in each.claims)


def find_ship(path: Path) -> Path | None:
    """The ship.yaml for a file or folder: in its folder, else in the nearest parent up to a folder `contracts`."""
    folder = (path if path.is_dir() else path.parent).resolve()
    if (folder / NAME).is_file():
        return folder / NAME
    above = [folder, *folder.parents]
    root = next((i for i, each in enumerate(above) if each.name == "contracts"), 0)
    return next((each / NAME for each in above[: root + 1] if (each / NAME).is_file()), None)


def load_ship(path: Path) -> tuple[Ship | None, Draft]:
    """The ship plan (None if it has an error) and its draft, which holds the problems."""
    draft = Draft.read(path, "ship")
    if not draft.problems:
        draft.add(*_check_ids(draft.data))
    if draft.problems:
        return None, draft
    targets = tuple(
        Target(id_, each["title"], tuple(map(_criterion, each["criteria"])), each.get("platform"))
        for id_, each in draft.data["targets"].items()
    )
    return Ship(str(path), draft.data, targets), draft


def unknown_claims(ship: Ship, known: Iterable[str]) -> Iterator[Mistake]:
    """Report each claim that a criterion names and that is not in `known`."""
    known = frozenset(known)
    for target, each in ship.source["targets"].items():
        for i, criterion in enumerate(each["criteria"]):
            for j, claim in enumerate(criterion["claims"]):
                if claim not in known:
                    message = f"criterion {criterion['id']}: no claim {claim!r} in any contract{nearest(claim, known)}"
                    yield Mistake(("targets", target, "criteria", i, "claims", j), message)


def _criterion(source: dict[str, Any]) -> Criterion:
    return Criterion(
        id=source["id"],
        title=source["title"],
        weight=float(source["weight"]),
        effort_hours=float(source["effort_hours"]),
        claims=tuple(source["claims"]),
        open=tuple(source.get("open", ())),
    )


def _check_ids(data: dict[str, Any]) -> Iterator[Mistake]:
    for target, each in data["targets"].items():
        seen: set[str] = set()
        for i, criterion in enumerate(each["criteria"]):
            if criterion["id"] in seen:
                message = f"criterion {criterion['id']!r} appears twice in target {target!r}; rename one"
                yield Mistake(("targets", target, "criteria", i, "id"), message)
            seen.add(criterion["id"])
