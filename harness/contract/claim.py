"""A contract and its claims, as plain frozen data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from harness.platforms import DISCHARGING


def canonical(value: Any) -> bytes:
    """Canonical JSON bytes: sorted keys, no spaces, no NaN. The base of every digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Claim:
    """One entry of `falsification_tests`, with its contract's id, file and line."""

    contract: str
    path: str
    line: int
    source: dict[str, Any]
    """The entry as written, with numbers read by the rules of YAML 1.2."""

    @property
    def id(self) -> str:
        return str(self.source["id"])

    @property
    def rule(self) -> str:
        return str(self.source["rule"])

    @property
    def prediction(self) -> str:
        return str(self.source.get("prediction", ""))

    @property
    def falsifier(self) -> str:
        """`module:function`; empty for an unbound claim."""
        return str(self.source.get("falsifier", ""))

    @property
    def unbound(self) -> str | None:
        """Why the claim has no falsifier, or the description of a test not yet implemented; None if it has one."""
        return self.source.get("unbound")

    @property
    def baseline(self) -> str | None:
        return self.source.get("baseline")

    @property
    def given(self) -> dict[str, Any]:
        return dict(self.source.get("given", {}))

    @property
    def explore(self) -> dict[str, dict[str, Any]]:
        return dict(self.source.get("explore", {}))

    @property
    def examples(self) -> int:
        return int(self.source.get("examples", 20)) if self.explore else 1

    @property
    def accept(self) -> dict[str, Any]:
        return dict(self.source.get("accept", {}))

    @property
    def scale(self) -> float | None:
        return self.source.get("scale")

    @property
    def mutants(self) -> tuple[str, ...]:
        return tuple(self.source.get("mutants", ()))

    @property
    def mutants_exempt(self) -> str | None:
        return self.source.get("mutants_exempt")

    @property
    def device(self) -> str | None:
        """`accelerator` if the claim needs a device that is not the CPU."""
        return self.source.get("device")

    @property
    def on_device_exempt(self) -> str | None:
        """Why the candidate may work on the host; None if it may not."""
        return self.source.get("on_device_exempt")

    @property
    def discharges_on(self) -> tuple[str, ...]:
        return tuple(self.source.get("discharges_on", DISCHARGING))

    @property
    def ship_blocking(self) -> bool:
        return bool(self.source.get("ship_blocking", True))

    @property
    def budget_s(self) -> float:
        return float(self.source.get("budget_s", 30))

    @property
    def if_fails(self) -> str:
        return str(self.source.get("if_fails", ""))

    @property
    def op(self) -> str:
        return str(self.given.get("op", ""))

    @property
    def digest(self) -> str:
        """SHA-256 of the entry and its contract's id."""
        return hashlib.sha256(canonical([self.contract, self.source])).hexdigest()

    @property
    def drawn_from(self) -> str:
        """SHA-256 of what decides the claim's cases: its name and its values. New words or limits keep the cases."""
        named = [self.contract, self.id, self.given, self.explore]
        return hashlib.sha256(canonical(named)).hexdigest()


@dataclass(frozen=True)
class Contract:
    """One YAML file."""

    path: str
    source: dict[str, Any]
    claims: tuple[Claim, ...] = field(default=())

    @property
    def id(self) -> str:
        return str(self.source["metadata"]["id"])

    @property
    def title(self) -> str:
        return str(self.source["metadata"].get("title", self.id))

    @property
    def depends_on(self) -> tuple[str, ...]:
        return tuple(self.source["metadata"].get("depends_on", ()))

    @property
    def digest(self) -> str:
        """SHA-256 of the whole contract as data; comments and layout do not change it."""
        return hashlib.sha256(canonical(self.source)).hexdigest()
