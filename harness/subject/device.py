"""The device on which a run computes: what --device names, and whether torch has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.errors import UserError
from harness.platforms import DISCHARGING, HOST, INDEXED, PLATFORMS, REHEARSAL, device_form

AUTO = "auto"


@dataclass(frozen=True)
class Found:
    """The device as torch writes it (`cpu`, `cuda:0`, `mps`), and why it is missing or None."""

    device: str
    missing: str | None = None


def platform(device: str) -> str:
    """`cuda:0` -> `cuda`."""
    return device.partition(":")[0]


def place(device: str, needed: str | None) -> str:
    """The device of one claim in a run on `device`: the rehearsal device where a claim needs more than the CPU."""
    return REHEARSAL if needed and platform(device) == HOST else device


def register(device: str) -> None:
    """Make a device of our own known to torch in this process; torch knows all others."""
    if platform(device) == REHEARSAL:
        from harness.subject import rehearsal

        rehearsal.start()


def find(asked: str) -> Found:
    """Find the device that --device names; `auto` is the accelerator that torch reports, else the CPU.

    It initialises the accelerator, so call it only in a process that is never forked.
    Raises: UserError for a name that is not a device.
    """
    kind, colon, number = asked.partition(":")
    known = kind in (AUTO, *PLATFORMS)
    if not known or (colon and not (kind in INDEXED and number.isascii() and number.isdigit())):
        raise UserError(f"--device {asked}: expected {device_form()}")
    if kind == "cpu":
        return Found("cpu")
    try:
        import torch
    except ImportError:
        return Found("cpu") if kind == AUTO else Found(asked, "torch is not installed")
    if kind == REHEARSAL:
        return Found(REHEARSAL)
    if kind == AUTO:
        kind = _accelerator(torch)
        if kind == "cpu":
            return Found("cpu")
    count = _count(torch, kind)
    index = int(number or 0)
    if index < count:
        return Found(f"{kind}:{index}" if kind in INDEXED else kind)
    return Found(asked, f"device {asked} is not there (torch finds {count} {kind} device{'' if count == 1 else 's'})")


def _accelerator(torch: Any) -> str:
    """The kind of the accelerator that torch reports; `cpu` if it has none, or one that Harness does not know."""
    if not torch.accelerator.is_available():
        return "cpu"
    kind = str(torch.accelerator.current_accelerator().type)
    return kind if kind in DISCHARGING else "cpu"


def _count(torch: Any, kind: str) -> int:
    """How many devices of a kind torch can use; 0 if it was built without the kind or its plug-in is not loaded."""
    module = getattr(torch, kind, None)
    return int(module.device_count()) if module is not None and module.is_available() else 0
