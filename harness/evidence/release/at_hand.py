"""What the user ships: candidate, weights, contracts and ship.yaml at hand, each with its digest. Nothing is run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.contract.location import BUILT_IN, HERE
from harness.contract.ship import NAME, Ship
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.evidence.body import Checkpoint, ContractEntry
from harness.evidence.provenance import code_digests, describe, weights_digest
from harness.subject.identity import Identity, identity, source_folder


@dataclass(frozen=True)
class Named:
    """What the user says is to ship."""

    candidate: str
    contracts: tuple[str, ...] = ()
    """Files, folders, `builtin:NAME`; empty: those of the working folder, else the built-in ones."""
    weights: str | None = None
    trust_missing: bool = False
    """Whether a source that is not here is taken as the evidence records it."""


@dataclass(frozen=True)
class AtHand:
    """The things that evidence is held against."""

    named: Named
    candidate: Identity | None
    """None if its source is not here."""
    lack: str
    """Why the candidate's source is not here; '' if it is."""
    weights: Checkpoint | None
    places: tuple[str, ...]
    """Where the contracts were found."""
    contracts: dict[str, ContractEntry]
    ship: Ship
    ship_sha256: str
    code: dict[str, str] = field(default_factory=code_digests)

    @property
    def folders(self) -> dict[str, Path | None]:
        """Where the files lie that a claim read below `candidate` and below `working` (`harness.subject.reading`)."""
        return {"candidate": source_folder(self.named.candidate), "working": Path()}

    @property
    def contracts_sha256(self) -> str:
        """One digest of all contracts: SHA-256 over their ids and digests, and over those of the files they bind."""
        total = hashlib.sha256()
        for name, entry in sorted(self.contracts.items()):
            total.update(f"{name}\0{entry['sha256']}\n".encode())
            total.update("".join(f"{file}\0{digest}\n" for file, digest in entry["files"].items()).encode())
        return total.hexdigest()

    def with_contracts(self, ids: Iterable[str]) -> AtHand:
        """With the built-in contracts of these ids, where the user named no contracts and has none of that id."""
        missing = set(ids) - set(self.contracts)
        if self.named.contracts or BUILT_IN in self.places or not missing:
            return self
        more = {name: entry for name, entry in _entries(check([BUILT_IN])).items() if name in missing}
        places = (*self.places, *([BUILT_IN] if more else []))
        return replace(self, contracts={**self.contracts, **more}, places=places)

    def lines(self) -> list[str]:
        """What is at hand, one line each with its SHA-256."""
        shown = [f"candidate  {self.named.candidate}, {digest_text(self.candidate and self.candidate['sha256'])}"]
        if self.weights:
            shown.append(f"weights    {self.weights['folder']}, {digest_text(self.weights['sha256'])}")
        count = f"{len(self.contracts)} in {', '.join(self.places)}"
        return [
            *shown,
            f"contracts  {count}, SHA-256 {self.contracts_sha256}",
            f"ship.yaml  {self.ship.path}, SHA-256 {self.ship_sha256}",
        ]

    def as_json(self) -> dict[str, object]:
        """What is at hand as plain data."""
        return {
            "candidate": self.candidate or {"spec": self.named.candidate, "sha256": None},
            "weights": self.weights,
            "contracts": {
                "paths": list(self.places),
                "sha256": self.contracts_sha256,
                "each": {name: entry["sha256"] for name, entry in sorted(self.contracts.items())},
            },
            "ship": {"path": self.ship.path, "sha256": self.ship_sha256},
        }


def at_hand(named: Named) -> AtHand:
    """Find and digest what the user ships; nothing of it is imported.

    Raises: UserError for contracts with a mistake or without a ship.yaml, and for a built-in candidate that is none.
    """
    places = named.contracts or _places()
    checked = check(places)
    for mistake in (each for each in checked.problems if each.severity == "error"):
        raise UserError(str(mistake))
    if checked.ship is None:
        raise UserError(
            f"{', '.join(places)}: found no {NAME} there or above; the gate decides by the one at hand, never by the "
            "one in the evidence: name the contracts that have one with --contracts PATH"
        )
    found, lack = _candidate(named.candidate)
    return AtHand(
        named=named,
        candidate=found,
        lack=lack,
        weights=weights_digest(named.weights),
        places=tuple(places),
        contracts=_entries(checked),
        ship=checked.ship,
        ship_sha256=hashlib.sha256(Path(checked.ship.path).read_bytes()).hexdigest(),
    )


def digest_text(sha256: str | None) -> str:
    return "its source is not here" if sha256 is None else f"SHA-256 {sha256}"


def _places() -> Sequence[str]:
    """`contracts/`, else the working folder if it has a ship.yaml, else the built-in contracts."""
    if Path(HERE).is_dir():
        return (HERE,)
    return (".",) if Path(NAME).is_file() else (BUILT_IN,)


def _entries(checked: Checked) -> dict[str, ContractEntry]:
    return {contract.id: describe(contract, checked) for contract in checked.contracts}


def _candidate(spec: str) -> tuple[Identity | None, str]:
    """The candidate's identity, or why its source is not here; a built-in name that is none is the user's mistake."""
    try:
        return identity(spec), ""
    except (UserError, OSError) as missing:
        if ":" not in spec and not spec.endswith(".py"):
            raise
        return None, " ".join(str(missing).split())
