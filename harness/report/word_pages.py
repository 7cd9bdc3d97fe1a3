"""Build pages that explain a word: a claim, verdict, measurement, limit, mutant, op, contract, criterion or target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.location import BUILT_IN, contract_files, located
from harness.contract.names.modules import Modules
from harness.contract.names.reference import short
from harness.contract.names.resolve import Binding
from harness.contract.problem import listed, nearest
from harness.contract.ship import Criterion, Ship, Target, find_ship, load_ship
from harness.contract.validate import Checked, check
from harness.errors import UserError
from harness.evidence import newest_run
from harness.judging.cause import Cause
from harness.measurements.table import MEASUREMENTS
from harness.platforms import named
from harness.words import explanation, glossary
from harness.words.glossary import FREE, IMPLICIT, OPERATORS, VERDICTS

ID = re.compile(r"\bid:\s*[\"']?([A-Za-z0-9][A-Za-z0-9-]*)")
Lines = Iterator[tuple[int, str]]
Page = tuple[str, Lines]


def pages(word: str, contracts: str | None, runs: Path) -> list[Page]:
    """Every page on `word`, one for each of its meanings.

    Raises: UserError that names the nearest word if the word is unknown.
    """
    path = contracts or BUILT_IN
    found = [*glossary.pages(word), *_contracts(word, path, contracts, runs)]
    if not found:
        raise UserError(_unknown(word, path))
    return found


def names(path: str) -> list[str]:
    """Every id in the contracts and ship.yaml of a path, and every word of the glossary."""
    files, _ = contract_files([path])
    ship = find_ship(located(path)) if located(path).exists() else None
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in [*files, *([ship] if ship else [])]]
    targets = re.findall(r"^  ([a-z0-9-]+):$", texts[-1], re.MULTILINE) if ship else []
    ids = [found for text in texts for found in ID.findall(text)]
    return list(dict.fromkeys([*VERDICTS, *ids, *targets, *MEASUREMENTS, *IMPLICIT, *OPERATORS, *FREE, *Cause]))


def _unknown(word: str, path: str) -> str:
    known = names(path)
    near = nearest(word, known) or "; expected a claim, a verdict, a measurement, a criterion or a target"
    holding = [name for name in known if word.lower() in name.lower()]
    more = f" (with {word!r} in it: {listed(holding, 8)})" if holding else ""
    where = "the built-in contracts" if path == BUILT_IN else path
    return f"explain: {word}: nothing of that name in {where}{near}{more}"


def _contracts(word: str, path: str, given: str | None, runs: Path) -> Iterator[Page]:
    """Yield pages from contracts; only files that contain the word are checked."""
    files, problems = contract_files([path])
    if problems:
        raise UserError(str(problems[0]))
    holding = [file for file in files if word.lower().encode() in file.read_bytes().lower()]
    checked = check(holding, apart=True)
    modules = Modules()
    ship_file = find_ship(located(path))
    ship = load_ship(ship_file)[0] if ship_file else None
    claims = [claim for contract in checked.contracts for claim in contract.claims]
    for claim in claims:
        if word.lower() == claim.id.lower():
            yield _claim(claim, checked.bindings[claim.id], modules, ship, given, runs)
    for contract in checked.contracts:
        if word.lower() == contract.id:
            yield _contract(contract.title, contract.source, contract.claims, f"{contract.id}: a contract")
    ops = [claim for claim in claims if word.lower() == claim.op.lower()]
    if ops:
        yield f"{word}: an op", _listed("Claims about it:", [(c.id, c.rule) for c in ops])
    yield from _measure(word, claims, checked, modules)
    yield from _mutant(word, claims, checked, modules)
    yield from _ship(word, ship, runs)
    if checked.errors and not any(word.lower() == claim.id.lower() for claim in claims):
        first = next(str(problem) for problem in checked.problems if problem.severity == "error")
        raise UserError(f"{first} (`harness validate` has the rest)")


def _claim(claim: Claim, binding: Binding, modules: Modules, ship: Ship | None, given: str | None, runs: Path) -> Page:
    def lines() -> Lines:
        yield 0, f"In {short(claim.path)}:{claim.line}, contract {claim.contract}."
        yield from _section("What is claimed", explanation.claimed(claim))
        yield from _section("How it is attacked", explanation.attacked(claim, binding, modules))
        yield from _section("Known-wrong versions", explanation.known_wrong(claim, binding, modules))
        yield from _section("What the limits mean", explanation.limited(claim, binding, modules))
        yield from _section("Where it counts", _counts(claim, ship))
        yield from _section("If it fails", iter([(0, explanation.with_full_stop(claim.if_fails))]))
        yield from _section("Run it alone", iter([(0, f"$ harness run {given or _built_in(claim)} -k {claim.id}")]))
        yield from _section("Newest evidence", newest_run.evidence_lines(claim, runs))

    return f"{claim.id}: a claim", lines()


def _built_in(claim: Claim) -> str:
    inside = Path(claim.path).resolve().relative_to(located(BUILT_IN).resolve())
    return f"{BUILT_IN}{inside.as_posix()}"


def _counts(claim: Claim, ship: Ship | None) -> Lines:
    where = named(claim.discharges_on, " or ")
    yield (
        0,
        f"A survival on {where} is DISCHARGED" + ("; anywhere else it is PARTIAL, half the credit."),
    )
    for target, criterion in _criteria(ship):
        if claim.id in criterion.claims:
            yield 0, f"Criterion {criterion.id} of {target.id}: {criterion.title}.{_where(target)}"
    if not claim.ship_blocking:
        yield 0, "It does not block shipping (ship_blocking: false), but if it is red, the run is red."


def _contract(title: str, source: dict[str, Any], claims: tuple[Claim, ...], heading: str) -> Page:
    def lines() -> Lines:
        yield 0, f"{title}. {source['metadata'].get('description', '')}"
        for name, equation in source.get("equations", {}).items():
            yield 2, f"{name}: {equation}"
        if source["metadata"].get("depends_on"):
            yield 0, f"It depends on {', '.join(source['metadata']['depends_on'])}: BLOCKED while one of them is red."
        yield from _listed("Its claims:", [(claim.id, claim.rule) for claim in claims])

    return heading, lines()


def _measure(word: str, claims: list[Claim], checked: Checked, modules: Modules) -> Iterator[Page]:
    """Yield a page for each falsifier that defines a measurement of this name."""
    held = [claim for claim in claims if word in checked.bindings[claim.id].measures]
    for falsifier in sorted({claim.falsifier.rpartition(":")[0] for claim in held}):
        these = [claim for claim in held if claim.falsifier.startswith(falsifier + ":")]
        what = explanation.measures(checked.bindings[these[0].id], modules)[word]
        lines = [(0, explanation.with_full_stop(f"It is {what}")), *_listed("Where:", [(c.id, c.rule) for c in these])]
        yield f"{word}: a measurement of {falsifier}", iter(lines)


def _mutant(word: str, claims: list[Claim], checked: Checked, modules: Modules) -> Iterator[Page]:
    """Yield one page for each mutant of that name; several ops may each have one."""
    held: dict[str, list[tuple[str, str]]] = {}
    for claim in claims:
        for name in claim.mutants:
            if word in (name, name.rpartition(":")[2]):
                text = explanation.mutant(checked.bindings[claim.id].mutants[name], Path(claim.path).parent, modules)
                held.setdefault(text, []).append((claim.id, claim.rule))
    for text, catching in held.items():
        lines = [(0, text), *_listed("Claims that must catch it:", catching)]
        yield f"{word}: a mutant, a known-wrong version", iter(lines)


def _criteria(ship: Ship | None) -> Iterator[tuple[Target, Criterion]]:
    for target in ship.targets if ship else ():
        for criterion in target.criteria:
            yield target, criterion


def _where(target: Target) -> str:
    """What a target's platform means for its claims; empty if it names none."""
    if target.platform is None:
        return ""
    return f" {target.id} ships on {target.platform}: a survival there counts as DISCHARGED, one elsewhere as PARTIAL."


def _ship(word: str, ship: Ship | None, runs: Path) -> Iterator[Page]:
    for target, criterion in _criteria(ship):
        if word.lower() == criterion.id.lower():
            yield f"{criterion.id} of {target.id}: a criterion", _criterion(criterion, target, runs)
    for target in ship.targets if ship else ():
        if word.lower() == target.id.lower():
            parts = [(c.id, f"{c.title} (weight {c.weight:g})") for c in target.criteria]
            text = f"{target.title}. ship-% is the share of its criteria's weights that their credits earn."
            text = f"{text}{_where(target)} Criteria:"
            yield f"{target.id}: a target", _listed(text, parts)


def _criterion(criterion: Criterion, target: Target, runs: Path) -> Lines:
    yield 0, f"{criterion.title}."
    yield 0, f"Weight {criterion.weight:g}; closing it takes an estimated {criterion.effort_hours:g} hours."
    yield (
        0,
        "Its credit is the lowest of its claims' (DISCHARGED 1, PARTIAL 0.5, others 0), and 0 while a part is open."
        + _where(target),
    )
    for claim in criterion.claims:
        found = newest_run.run_of(runs, claim)
        yield 2, f"{claim}: {found[1]['verdict'] if found else f'no evidence in {runs}/'}"
    for part in criterion.open:
        yield 2, f"open: {part}"


def _listed(heading: str, entries: list[tuple[str, str]]) -> Lines:
    yield 0, heading
    for name, text in entries:
        yield 2, f"{name}: {text}"


def _section(title: str, lines: Lines) -> Lines:
    yield -1, title
    yield from ((indent + 2, text) for indent, text in lines)
