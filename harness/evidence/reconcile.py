"""Hold the parts of a sealed run against each other: ids, contracts, cases, mutants, platforms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.contract.claim import Claim, Contract, canonical
from harness.evidence import counterexample, manifest, store, tree
from harness.evidence.body import RunBody
from harness.judging.record import Record
from harness.judging.result import Result

DRAWS = "hypothesis"
"""The package that draws the cases; another version may draw others."""


def contracts(run: Path) -> dict[str, Contract]:
    """The contracts that a run holds a copy of, by id."""
    found = {}
    for path in sorted((run / tree.CONTRACTS).iterdir()):
        found[path.name.removesuffix(".json")] = Contract(str(path), store.read_json(path))
    return found


def faults(run: Path, body: RunBody) -> list[str]:
    """Every contradiction between run.json, the contracts and the claims' files, one line each."""
    found = list(_lists(run, body))
    if found:
        return found  # what follows looks things up in these lists
    held = contracts(run)
    found += _contracts(run, body, held)
    if found:
        return found
    for _, folder in store.claims(run):
        found += _claim(folder, store.entry(folder), store.read_json(folder / "result.json"), body, held)
    return found


def redraws(body: RunBody) -> bool:
    """Whether this machine draws the cases of a claim as the run did."""
    try:
        return body["versions"].get(DRAWS) == version(DRAWS)
    except PackageNotFoundError:
        return False


def _lists(run: Path, body: RunBody) -> Iterator[str]:
    where = run / "run.json"
    if body["id"] != run.name:
        yield f"{where}: found id {body['id']!r} in a folder named {run.name!r}, expected the same; keep a run's name"
    rows, selected = [row["id"] for row in body["claims"]], body["selected"]
    for name, ids in (("claims", rows), ("selected", selected), ("contracts", [c["id"] for c in body["contracts"]])):
        twice = sorted(each for each, count in Counter(ids).items() if count > 1)
        if twice:
            yield f"{where}: {name} name {twice[0]!r} twice"
    for claim in sorted(set(selected) - set(rows)):
        yield f"{where}: selected names {claim!r}, which claims do not have"
    for claim, _ in store.claims(run):
        if claim not in selected:
            yield f"{run / tree.CLAIMS / claim}: found the files of a claim that was not selected"


def _contracts(run: Path, body: RunBody, held: dict[str, Contract]) -> Iterator[str]:
    named = {entry["id"]: entry for entry in body["contracts"]}
    for name in sorted(set(named) ^ set(held)):
        wrong = "missing" if name in named else "a contract that run.json does not name"
        yield f"{run / tree.CONTRACTS / name}.json: {wrong}"
    for name, contract in held.items():
        digest = manifest.file_digest(Path(contract.path))
        if name in named and named[name]["sha256"] != digest:
            yield f"{contract.path}: SHA-256 {digest[:12]}…, run.json says {named[name]['sha256'][:12]}…"
    if any(set(named) ^ set(held)):
        return
    listed = {str(each["id"]): name for name, c in held.items() for each in c.source["falsification_tests"]}
    rows = {row["id"]: row["contract"] for row in body["claims"]}
    for claim in sorted(set(listed) ^ set(rows)):
        yield f"{run / 'run.json'}: claims and contracts differ in {claim!r}"
    for claim in sorted(set(listed) & set(rows)):
        if listed[claim] != rows[claim]:
            yield f"{run / 'run.json'}: {claim} is a claim of {listed[claim]!r}, found {rows[claim]!r}"


def _claim(folder: Path, claim: Claim, result: Result, body: RunBody, held: dict[str, Contract]) -> Iterator[str]:
    written = held[claim.contract].source["falsification_tests"] if claim.contract in held else []
    entry = next((each for each in written if each["id"] == claim.id), None)
    if entry is None or canonical(entry) != canonical(claim.source):
        yield f"{folder / 'claim.yaml'}: is not the entry of the contract {claim.contract!r}"
        return
    where, record = folder / "result.json", result["record"]
    if result["id"] != claim.id or result["contract"] != claim.contract:
        yield f"{where}: is the result of {result['id']!r} of {result['contract']!r}"
    if record["platform"] != result["device"].partition(":")[0]:
        yield f"{where}: found platform {record['platform']!r} on device {result['device']!r}"
    yield from _cases(where, claim, record, body)
    yield from _mutants(where, claim, record)


def _cases(where: Path, claim: Claim, record: Record, body: RunBody) -> Iterator[str]:
    """The cases that claim and seed give, none left out and none exchanged; the search's own come behind them."""
    searched = set(record.get("searched", []))
    fixed = [case for case in record["cases"] if case["index"] not in searched]
    if not fixed or not redraws(body):
        return
    from harness.contract.cases import plan

    want = [counterexample.case_entry(spec) for spec in plan(claim, body["seed"])]
    if canonical(fixed) != canonical(want):
        at = next((i for i, (a, b) in enumerate(zip(fixed, want, strict=False)) if canonical(a) != canonical(b)), None)
        place = f"{len(fixed)} cases, expected {len(want)}" if at is None else f"another case {at}"
        yield f"{where}: found {place}: claim and seed {body['seed']} give other cases"


def _mutants(where: Path, claim: Claim, record: Record) -> Iterator[str]:
    """Every mutant that the contract names, and no other."""
    candidate = record["subjects"].get("candidate")
    if candidate is None or candidate["status"] != "ran" or record.get("mutants_left_out") or claim.baseline is None:
        return
    named = [name for name, subject in record["mutants"].items() if not subject.get("free")]
    if sorted(named) != sorted(claim.mutants):
        missing = sorted(set(claim.mutants) ^ set(named))
        yield f"{where}: the contract's mutants and the record's differ in {', '.join(missing)}"
