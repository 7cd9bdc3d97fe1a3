"""Import several foreign contracts together: unique ids, dependencies among them, one contract per file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.checks import cycles
from harness.errors import UserError
from harness.provable.document import Document, take_apart
from harness.provable.entry import Entry
from harness.provable.names import apart, claim_id, contract_id
from harness.provable.source import read


@dataclass
class ImportedContract:
    """One imported contract: its document, its id, its claims with their entries, and the contract as data."""

    document: Document
    id: str
    claims: list[tuple[str, Entry]]
    contract: dict[str, Any]

    @property
    def renamed(self) -> dict[str, str]:
        """The source's claim id -> the new id, if they differ; for equal source ids, the first claim's."""
        return dict(reversed([(each.wanted, id_) for id_, each in self.claims if each.wanted not in ("", id_)]))

    @property
    def kinds(self) -> Counter[str]:
        return Counter(each.kind.value for _, each in self.claims)


@dataclass(frozen=True)
class Batch:
    """Several read files: their documents, the contract id of each, and a message for each file that failed."""

    documents: list[Document]
    ids: dict[Path, str]
    failed: dict[Path, str]

    @classmethod
    def gather(cls, files: Iterable[Path]) -> Batch:
        """Read the files; a file that cannot be read adds a message to `failed` and does not stop the others."""
        documents: list[Document] = []
        failed: dict[Path, str] = {}
        for file in files:
            try:
                documents.append(take_apart(read(file)))
            except UserError as problem:
                failed[file] = str(problem)
        ids, twice = _contract_ids(documents)
        return cls([each for each in documents if each.source.path in ids], ids, failed | twice)

    def contracts(self, *, contracts: Collection[str], claims: Collection[str]) -> list[ImportedContract]:
        """Build the contracts; `contracts` and `claims` are ids that other contracts already use."""
        depends = _depends(self.documents, self.ids, contracts)
        owners = [self.ids[each.source.path] for each in self.documents for _ in each.entries]
        found = iter(apart(_wanted(self.documents, self.ids), owners, claims))
        return [_imported(each, self.ids[each.source.path], found, depends) for each in self.documents]


def _contract_ids(documents: list[Document]) -> tuple[dict[Path, str], dict[Path, str]]:
    """(file -> contract id, file -> error message); equal ids get their folder's name as prefix."""
    wanted = Counter(document.wanted for document in documents)
    ids: dict[Path, str] = {}
    failed: dict[Path, str] = {}
    owner: dict[str, Path] = {}
    for document in documents:
        path, id_ = document.source.path, document.wanted
        folder = contract_id(path.parent.name)
        if wanted[id_] > 1 and folder:
            id_ = f"{folder}-{id_}"
        if id_ in owner:
            failed[path] = f"{path}: its contract id {id_!r} is that of {owner[id_]} too; import it alone, with --out"
            continue
        owner[id_] = path
        ids[path] = id_
        if id_ != document.wanted:
            document.notes.append(f"another file also has the id {document.wanted!r}, so this contract gets {id_!r}")
    return ids, failed


def _wanted(documents: list[Document], ids: dict[Path, str]) -> list[str]:
    """The wanted claim id of each entry of each contract; the contract's id and a number if the source has none."""
    names = []
    for document in documents:
        for number, each in enumerate(document.entries, 1):
            names.append(claim_id(each.wanted) or f"{claim_id(ids[document.source.path])}-{number:03}")
    return names


def _depends(documents: list[Document], ids: dict[Path, str], contracts: Collection[str]) -> dict[str, list[str]]:
    """Contract id -> ids of known contracts on which it depends, without cycles; dropped ones add a note."""
    known = {name: name for name in [*contracts, *ids.values()]}
    for document in documents:
        for name in (document.wanted, contract_id(document.source.path.stem)):
            known.setdefault(name, ids[document.source.path])
    depends: dict[str, list[str]] = {}
    for document in documents:
        needs = [
            known.get(contract_id(Path(each).stem if "/" in each or each.endswith((".yaml", ".yml")) else each))
            for each in document.depends_on
        ]
        missing = [each for each, need in zip(document.depends_on, needs, strict=True) if need is None]
        if missing:
            document.notes.append(
                f"depends_on {', '.join(map(repr, missing))}: no such contract is imported or in the folder; kept"
            )
        depends[ids[document.source.path]] = list(dict.fromkeys(need for need in needs if need))
    by_id = {ids[document.source.path]: document for document in documents}
    while circles := list(cycles(depends)):
        for first, second, *_ in circles:
            if second in depends[first]:
                depends[first].remove(second)
                by_id[first].notes.append(f"depends_on {second!r} makes a cycle; kept, but not as a dependency")
    return depends


def _imported(document: Document, id_: str, found: Any, depends: dict[str, list[str]]) -> ImportedContract:
    claims = [(next(found), each) for each in document.entries]
    needs = depends[id_]
    rest = _without(document.rest, {"id": id_, "depends_on": needs or None})
    sections = Counter(each.section for each in document.entries)
    kept: dict[str, Any] = {"from": document.source.path.name, "sha256": document.source.sha256}
    kept["tests"] = dict(sections)
    if rest:
        kept["source"] = rest
    if document.source.comments:
        kept["comments"] = "\n".join(document.source.comments) + "\n"
    contract: dict[str, Any] = {"metadata": {"id": id_, **document.metadata}}
    if needs:
        contract["metadata"]["depends_on"] = needs
    if document.equations:
        contract["equations"] = document.equations
    contract["falsification_tests"] = [each.as_claim(name) for name, each in claims]
    contract["imported"] = kept
    document.rest = rest
    return ImportedContract(document, id_, claims, contract)


def _without(rest: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """`rest` without the metadata that our own metadata repeats unchanged."""
    theirs = rest.get("metadata")
    if not isinstance(theirs, dict):
        return rest
    left = {key: each for key, each in theirs.items() if key not in written or each != written[key]}
    return {key: left if key == "metadata" else each for key, each in rest.items() if key != "metadata" or left}
