"""Explain a claim in plain words, from its contract and the sources that it binds, without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.contract.cases import corners
from harness.contract.claim import Claim
from harness.contract.domain import LISTS
from harness.contract.limits import GROUPS, OPERATORS
from harness.contract.names.modules import Missing, Modules
from harness.contract.names.reference import find, is_path, path_file
from harness.contract.names.resolve import Binding
from harness.contract.names.source import ImportedName
from harness.measurements.table import MEASUREMENTS
from harness.words.glossary import FREE, IMPLICIT
from harness.words.glossary import OPERATORS as WORDS

Lines = Iterator[tuple[int, str]]
"""(indent, paragraph); the printer wraps the paragraphs."""


def claimed(claim: Claim) -> Lines:
    """Yield the rule and the prediction of a claim."""
    yield 0, with_full_stop(claim.rule)
    if claim.prediction:
        yield 0, with_full_stop(f"Predicted: {claim.prediction}")


def attacked(claim: Claim, binding: Binding, modules: Modules) -> Lines:
    """Yield the falsifier, the baseline, the parameters and the number of cases."""
    yield 0, f"Falsifier {claim.falsifier}: {_docstring(claim.falsifier, _folder(claim), modules)}"
    if claim.baseline:
        yield 0, f"Baseline {claim.baseline}: the trusted implementation, run on the same cases."
    for name, value in claim.given.items():
        yield 2, f"{name} = {_written(value)}"
    for name, domain in claim.explore.items():
        yield 2, f"{name}: {_domain(domain)}"
    yield 0, _cases(claim)


def known_wrong(claim: Claim, binding: Binding, modules: Modules) -> Lines:
    """Yield each mutant with the bug that it reproduces."""
    if claim.mutants_exempt:
        yield 0, with_full_stop(f"No mutants of its own, because: {claim.mutants_exempt}")
    else:
        yield 0, "The same attack must catch each of these, or the claim proves nothing (VACUOUS):"
    for name in claim.mutants:
        yield 2, f"{name}: {mutant(binding.mutants[name], _folder(claim), modules)}"
    yield 2, f"and, free with every comparison of arrays: {'; '.join(FREE.values())}."


def limited(claim: Claim, binding: Binding, modules: Modules) -> Lines:
    """Yield each limit as a sentence, the reason for its value, and what is measured."""
    table = measures(binding, modules)
    yield from _limits(claim.accept, 0, table, set())
    yield 0, f"Always, besides: {'; '.join(IMPLICIT.values())}. NaN violates every limit."


def mutant(where: str, folder: Path, modules: Modules) -> str:
    """The first line of a mutant's docstring, which cites the bug; `where` is the binding's `module:name`."""
    module, _, name = where.rpartition(":")
    try:
        file = path_file(module, folder) if is_path(module) else modules.file(module)
        source = modules.source(file)
        value = source.mutants().get(name, [None])[0]
        if isinstance(value, (ast.Name, ast.FunctionDef)):
            function = value.id if isinstance(value, ast.Name) else value.name
            return _docstring(f"{module}:{function}", folder, modules, first=True)
        owner = source.names.get(value.value.id) if _dotted(value) else None  # type: ignore[union-attr]
        if isinstance(owner, ImportedName) and isinstance(value, ast.Attribute):
            return _docstring(f"{owner.module}.{owner.name}:{value.attr}", folder, modules, first=True)
    except Missing:
        pass
    return "no docstring was found"


def _dotted(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)


def _folder(claim: Claim) -> Path:
    return Path(claim.path).parent


def _docstring(reference: str, folder: Path, modules: Modules, *, first: bool = False) -> str:
    """The first paragraph of a function's docstring, or its first line."""
    try:
        node = find(reference, folder, modules).node
    except Missing:
        return "its source was not found"
    text = ast.get_docstring(node) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else None
    if not text:
        return "it has no docstring"
    return text.splitlines()[0] if first else " ".join(text.partition("\n\n")[0].split())


def _domain(domain: Mapping[str, Any]) -> str:
    (kind, values), *_ = domain.items()
    if kind in LISTS:
        return "one of " + ", ".join(_written(value) for value in values)
    low, high = (_written(value) for value in values)
    how = {
        "sizes": "whole numbers, both ends and those around tiles and beyond tables and types tried first",
        "boundary": "whole numbers, both ends tried first",
        "uniform": "any number between, both ends tried first",
        "log_uniform": "any number between, evenly on a logarithmic scale, both ends tried first",
    }
    return f"{low} to {high}: {how[kind]}"


def _cases(claim: Claim) -> str:
    if not claim.explore:
        return "One case, the same for the candidate, the baseline and every mutant."
    fixed = len(corners(claim.explore))
    drawn = max(claim.examples - fixed, 0)
    sizes = (
        " and every edge of each size or listed value"
        if any(set(d) & {"sizes", "each"} for d in claim.explore.values())
        else ""
    )
    return (
        f"{fixed + drawn} cases, the same for the candidate, the baseline and every mutant: {fixed} corners that "
        f"try every pair of corner values of every two parameters{sizes}, then {drawn} seeded draws."
    )


def measures(binding: Binding, modules: Modules) -> dict[str, str]:
    """Measurements that the falsifier's module defines in `MEASURES`: name -> description."""
    table = modules.source(Path(binding.falsifier.file)).literal("MEASURES") or {}
    return {name: str(value.value) for name, value in table.items() if isinstance(value, ast.Constant)}


def _limits(accept: Mapping[str, Any], indent: int, table: Mapping[str, str], described: set[str]) -> Lines:
    for name, entry in accept.items():
        if name in GROUPS:
            yield indent, "At least one of these must hold:" if name == "any_of" else "All of these must hold:"
            for branch in entry:
                yield from _limits(branch, indent + 2, table, described)
            continue
        yield indent, f"{name}: {limit_text(entry)}."
        yield indent + 2, with_full_stop(f"Why: {entry['why']}")
        named = [entry[operator] for operator in OPERATORS if isinstance(entry.get(operator), str)]
        for each in [each for each in (name, *named) if each not in described]:
            described.add(each)
            yield indent + 2, with_full_stop(f"{'It' if each == name else each} is {measured(each, table)}")


def limit_text(entry: Mapping[str, Any]) -> str:
    """The operators of one limit in words: `at most 8 in float32, 2 in float16`."""
    parts = []
    for operator in OPERATORS:
        bound = entry.get(operator)
        if isinstance(bound, dict):
            by_dtype = (f"{_written(b)} in {'any other dtype' if d == 'default' else d}" for d, b in bound.items())
            parts.append(f"{WORDS[operator]} {', '.join(by_dtype)}")
        elif bound is not None:
            parts.append(f"{WORDS[operator]} {_written(bound)}")
    where = [f"{key} is {' or '.join(map(_written, v if isinstance(v, list) else [v]))}" for key, v in _when(entry)]
    return " and ".join(parts) + (f", where {' and '.join(where)}" if where else "")


def _when(entry: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(entry.get("when", {}).items())


def measured(name: str, table: Mapping[str, str]) -> str:
    """Describe a measurement, built in or defined by the falsifier."""
    if name in MEASUREMENTS:
        return f"{MEASUREMENTS[name].what}; {MEASUREMENTS[name].reads}"
    return table.get(name, "a measurement that the falsifier defines")


def with_full_stop(text: str) -> str:
    """Add a full stop to a text that does not end a sentence."""
    return text if text.endswith((".", "!", "?")) else text + "."


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
