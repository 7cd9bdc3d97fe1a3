"""What differs between two runs, in the order in which it is likely to have moved a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UNEXPLAINED = "nothing that is recorded differs: the result itself does not repeat"
SELECTION = "selection"
"""Which claims ran: it moves only those that it left out."""


@dataclass(frozen=True)
class Cause:
    """One difference; `contract` is set where it can only move that contract's claims."""

    kind: str
    text: str
    contract: str | None = None


def causes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Cause]:
    """Every recorded difference between two run.json."""
    return [
        *_candidate(before, after),
        *_contracts(before["contracts"], after["contracts"]),
        *_code(before["code"], after["code"]),
        *_settings(before, after),
        *_named("version", before["versions"], after["versions"]),
        *_named("host", before["host"], after["host"]),
    ]


def of_claim(found: list[Cause], contract: str) -> list[Cause]:
    """The differences that can have moved a claim of this contract that ran both times."""
    return [cause for cause in found if cause.contract in (None, contract) and cause.kind != SELECTION]


def told(found: list[Cause]) -> str:
    """The differences as one line."""
    return "; ".join(cause.text for cause in found) or UNEXPLAINED


def _candidate(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    old, new = before["candidate"], after["candidate"]
    if old["spec"] != new["spec"]:
        yield Cause("candidate", f"candidate {old['spec']} → {new['spec']}")
    elif old != new:
        yield Cause("candidate", f"candidate {new['spec']} was edited")


def _contracts(before: list[Mapping[str, Any]], after: list[Mapping[str, Any]]) -> Iterator[Cause]:
    old, new = ({c["id"]: c for c in side} for side in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            yield Cause("contract", f"contract {name} {'is gone' if name in old else 'is new'}", name)
            continue
        if old[name]["sha256"] != new[name]["sha256"]:
            yield Cause("contract", f"contract {name} was edited", name)
        files = {**old[name]["files"], **new[name]["files"]}
        for file in sorted(files):
            if old[name]["files"].get(file) != new[name]["files"].get(file):
                yield Cause("contract", f"{file}, which contract {name} binds, was edited", name)


def _code(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Cause]:
    for package in sorted(before.keys() | after.keys()):
        if before.get(package) != after.get(package):
            yield Cause("code", f"code of {package} was edited")


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    pairs = {
        "device": (before["device"], after["device"]),
        "seed": (before["seed"], after["seed"]),
        "--weights": (before["options"].get("weights"), after["options"].get("weights")),
        "-k": (before["options"].get("select"), after["options"].get("select")),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            yield Cause(SELECTION if name == "-k" else "setting", f"{name} {_value(old)} → {_value(new)}")


def _named(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Cause]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Cause(kind, f"{name} {_value(before.get(name))} → {_value(after.get(name))}")


def _value(value: Any) -> str:
    return "none" if value in (None, "") else str(value)
