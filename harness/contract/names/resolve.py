"""Find where a claim's falsifier, baseline, mutants and measurements are defined. Nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.contract.claim import Claim
from harness.contract.domain import LISTS
from harness.contract.names.inputs import beside, find_inputs, own_name
from harness.contract.names.modules import Missing, Modules
from harness.contract.names.reference import Definition, Found, find, is_path, path_file, short
from harness.contract.names.signature import Signature, check_parameters
from harness.contract.problem import DataPath, Mistake, listed, nearest
from harness.errors import UserError


@dataclass(frozen=True)
class Binding:
    """Where a claim's parts are defined.

    ``mutants`` maps the name in the claim to `module:name` (or `path.py:name`, relative to the contract), where
    `module` declares the mutant.
    """

    falsifier: Definition
    baseline: Definition | None
    mutants: dict[str, str]
    measures: tuple[str, ...]
    inputs: Definition | None = None
    """The function that builds the inputs of ``given.op``."""


def bind(claim: Claim, modules: Modules | None = None) -> Binding:
    """The claim's binding.

    Raises: UserError for the first reference that does not resolve.
    """
    binding, findings = resolve(claim.source, Path(claim.path).parent, modules or Modules())
    if binding is None or findings:
        raise UserError(f"{claim.path}:{claim.line}: {claim.id}: {findings[0].message}")
    return binding


def resolve(
    source: dict[str, Any], folder: Path, modules: Modules, *, complete: bool = True
) -> tuple[Binding | None, list[Mistake]]:
    """A claim's binding (None if the falsifier does not resolve), and a mistake for each reference that does not.

    `complete` is False if `source` lacks parameters because they have mistakes of their own.
    """
    findings: list[Mistake] = []
    found = _attempt(source.get("falsifier"), ("falsifier",), folder, modules, findings)
    baseline = _attempt(source.get("baseline"), ("baseline",), folder, modules, findings)
    findings += _check_weights(source, folder, modules)
    if found is None:
        return None, findings
    try:
        inputs = _check_call(source, found, modules, findings, complete)
        measures = modules.source(Path(found.definition.file)).literal("MEASURES") or {}
        mutants = _mutants(source, found.definition, folder, modules, findings)
    except Missing as missing:
        return None, [*findings, Mistake(("falsifier",), f"falsifier: {missing}")]
    base = baseline.definition if baseline else None
    return Binding(found.definition, base, mutants, tuple(sorted(measures)), inputs), findings


def _attempt(
    text: Any, path: tuple[str | int, ...], folder: Path, modules: Modules, findings: list[Mistake]
) -> Found | None:
    if not isinstance(text, str):
        return None
    try:
        return find(text, folder, modules)
    except Missing as missing:
        findings.append(Mistake(path, f"{'.'.join(map(str, path))} {text!r}: {missing}"))
        return None


def _check_call(
    source: dict[str, Any], found: Found, modules: Modules, findings: list[Mistake], complete: bool
) -> Definition | None:
    """Check the falsifier's signature against the claim; returns the function that builds the inputs of `given.op`."""
    name, node = found.definition.name, found.node
    if isinstance(node, (ast.ClassDef, ast.AsyncFunctionDef, ast.Import)):
        kinds = {ast.ClassDef: "a class", ast.AsyncFunctionDef: "an async function", ast.Import: "a module"}
        findings.append(Mistake(("falsifier",), f"falsifier: {name!r} is {kinds[type(node)]}, expected a function"))
    if not isinstance(node, ast.FunctionDef):
        return None
    signature, taker = Signature.of(node.args, skip=2), f"falsifier {name!r}"
    if signature.positional < 2:
        taken = listed(arg.arg for arg in [*node.args.posonlyargs, *node.args.args])
        message = f"{taker} takes {taken} by position, expected (subject, case, *, ...)"
        findings.append(Mistake(("falsifier",), message))
    inputs = None
    if signature.open and isinstance(source.get("given", {}).get("op"), str):
        inputs = find_inputs(source, found.definition, modules, findings)
        if inputs is None:
            return None
        if isinstance(inputs.node, ast.FunctionDef):
            signature = signature.joined(Signature.of(inputs.node.args))
            taker = f"{taker} with inputs {inputs.definition}"
    findings += check_parameters(source, signature, taker, complete)
    return inputs.definition if inputs else None


def _check_weights(source: dict[str, Any], folder: Path, modules: Modules) -> list[Mistake]:
    """Report a parameter `weights` written as module:function that does not resolve."""
    findings: list[Mistake] = []
    written: list[tuple[DataPath, Any]] = [(("given", "weights"), source.get("given", {}).get("weights"))]
    for kind in set(LISTS) & set(explored := source.get("explore", {}).get("weights", {})):
        written += [(("explore", "weights", kind, i), each) for i, each in enumerate(explored[kind])]
    for path, value in written:
        if isinstance(value, str) and ":" in value:
            try:
                find(value, folder, modules)
            except Missing as missing:
                findings.append(Mistake(path, f"weights {value!r}: {missing}"))
    return findings


def _mutants(
    source: dict[str, Any], falsifier: Definition, folder: Path, modules: Modules, findings: list[Mistake]
) -> dict[str, str]:
    places = _mutant_places(source, falsifier)
    bound: dict[str, str] = {}
    for i, name in enumerate(source.get("mutants", ())):
        where, _, key = name.rpartition(":")
        try:
            among = {where: path_file(where, folder) if is_path(where) else modules.file(where)} if where else places
            bound[name] = f"{_holder(key, among, modules)}:{key}"
        except Missing as missing:
            findings.append(Mistake(("mutants", i), f"mutant {name!r}: {missing}"))
    return bound


def _mutant_places(source: dict[str, Any], falsifier: Definition) -> dict[str, Path]:
    """The modules that may declare a mutant named without its module, in order: name as in a claim -> file.

    The falsifier's own module comes first. Then come modules in the folder `mutants` beside the falsifier's file whose
    file or folder has the name of `given.op`, and last those whose file or folder has the falsifier's module's name.
    """
    written = source["falsifier"].rpartition(":")[0]
    file = Path(falsifier.file)
    places = {written: file}
    op, own = source.get("given", {}).get("op"), own_name(file)
    mutants = file.parent / "mutants"
    for name in (op, own):
        for path in sorted(mutants.rglob("*.py")):
            inside = path.relative_to(mutants).with_suffix("").parts
            if name in inside:
                places.setdefault(beside(written, file, "mutants", inside), path)
    return places


def _holder(name: str, places: Mapping[str, Path], modules: Modules) -> str:
    """The first of the modules that declares a mutant `name`."""
    known: list[str] = []
    for where, file in places.items():
        declared = modules.source(file).mutants()
        if name in declared:
            _check_single(declared[name], file)
            return where
        known += declared
    looked = listed(short(file) for file in places.values())
    raise Missing(
        f"no function of this name under @mutant and no key of a literal MUTANTS = {{...}} in {looked}"
        f"{nearest(name, known)} (known: {listed(known)})"
    )


def _check_single(declared: list[ast.expr | ast.FunctionDef], file: Path) -> None:
    if len(declared) > 1:
        lines = " and ".join(str(node.lineno) for node in declared)
        raise Missing(f"found {len(declared)} of this name in {short(file)}, lines {lines}, expected one; rename one")
