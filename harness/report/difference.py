"""Recorded differences between two runs, the likeliest causes of a changed verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.evidence.body import ContractEntry, Machine, RunBody

UNEXPLAINED = "nothing that is recorded differs: the result is not reproducible"
SELECTION = "selection"
"""The kind of a changed -k, which changes only the verdicts of claims that it left out."""
APART = ("clocks_mhz", "settings")


@dataclass(frozen=True)
class Difference:
    """One difference; `contract` is set if the difference can only affect that contract's claims."""

    kind: str
    text: str
    contract: str | None = None


def differences(before: RunBody, after: RunBody) -> list[Difference]:
    """Every recorded difference between two run.json."""
    return [
        *_candidate(before, after),
        *_contracts(before["contracts"], after["contracts"]),
        *_code(before["code"], after["code"]),
        *_settings(before, after),
        *_named("version", before["versions"], after["versions"]),
        *_named("host", _without_device(before["host"]), _without_device(after["host"])),
        *_device(before, after),
    ]


def of_claim(found: list[Difference], contract: str) -> list[Difference]:
    """The differences that can have changed a claim of this contract that ran both times."""
    return [each for each in found if each.contract in (None, contract) and each.kind != SELECTION]


def joined(found: list[Difference]) -> str:
    """The differences as one line."""
    return "; ".join(each.text for each in found) or UNEXPLAINED


def _candidate(before: RunBody, after: RunBody) -> Iterator[Difference]:
    old, new = before["candidate"], after["candidate"]
    if old["spec"] != new["spec"]:
        yield Difference("candidate", f"candidate {old['spec']} → {new['spec']}")
    elif old != new:
        yield Difference("candidate", f"candidate {new['spec']} was edited")


def _contracts(before: list[ContractEntry], after: list[ContractEntry]) -> Iterator[Difference]:
    old, new = ({c["id"]: c for c in side} for side in (before, after))
    for name in sorted(old.keys() | new.keys()):
        if name not in new or name not in old:
            yield Difference("contract", f"contract {name} {'is gone' if name in old else 'is new'}", name)
            continue
        if old[name]["sha256"] != new[name]["sha256"]:
            yield Difference("contract", f"contract {name} was edited", name)
        files = {**old[name]["files"], **new[name]["files"]}
        for file in sorted(files):
            if old[name]["files"].get(file) != new[name]["files"].get(file):
                yield Difference("contract", f"{file}, which contract {name} binds, was edited", name)


def _code(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for package in sorted(before.keys() | after.keys()):
        if before.get(package) != after.get(package):
            yield Difference("code", f"code of {package} was edited")


def _settings(before: RunBody, after: RunBody) -> Iterator[Difference]:
    pairs: dict[str, tuple[object, object]] = {
        "device": (before["device"], after["device"]),
        "seed": (before["seed"], after["seed"]),
        "--weights": (before["options"]["weights"], after["options"]["weights"]),
        "-k": (before["options"]["select"], after["options"]["select"]),
    }
    for name, (old, new) in pairs.items():
        if old != new:
            yield Difference(SELECTION if name == "-k" else "setting", f"{name} {_value(old)} → {_value(new)}")


def _named(kind: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield Difference(kind, f"{name} {_value(before.get(name))} → {_value(after.get(name))}")


def _without_device(host: Machine) -> dict[str, object]:
    return {name: value for name, value in host.items() if name != "device"}


def _device(before: RunBody, after: RunBody) -> Iterator[Difference]:
    """Differences in the facts of one device; of two devices, `_settings` tells the names. Clocks always differ."""
    old, new = before["host"]["device"], after["host"]["device"]
    if before["device"] == after["device"] and old and new:
        yield from _named("host", *({n: v for n, v in d.items() if n not in APART} for d in (old, new)))
        yield from _named("setting", old["settings"] or {}, new["settings"] or {})


def _value(value: object) -> str:
    return "none" if value in (None, "") else str(value)
