"""The names of platforms: the kinds of device on which a claim can run, and those on which it can be discharged."""

from __future__ import annotations

from collections.abc import Sequence

PLATFORMS = ("cpu", "cuda", "mps", "xpu", "hpu", "rehearsal")
"""As torch names them; `cuda` is ROCm too. `rehearsal` is a device whose kernels are the CPU's."""
HOST = "cpu"
REHEARSAL = "rehearsal"
DISCHARGING = tuple(name for name in PLATFORMS if name != REHEARSAL)
"""Platforms on which a claim that survives can be DISCHARGED. A rehearsal says nothing about a device's arithmetic."""
ON_HOST = (HOST, REHEARSAL)
"""Platforms whose kernels run on the host's processors."""
INDEXED = ("cuda", "xpu", "hpu")
"""Platforms of which a machine may have several, named `cuda:0`, `cuda:1`."""


def device_form() -> str:
    """What --device may say: `auto, cpu, cuda[:i], mps, ...`."""
    names = ["auto", *(f"{name}[:i]" if name in INDEXED else name for name in PLATFORMS)]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def named(names: Sequence[str], last: str = ", ") -> str:
    """The names as text, with `last` before the last one; all that can discharge are `any platform but rehearsal`."""
    if set(names) == set(DISCHARGING):
        return f"any platform but {REHEARSAL}"
    return last.join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
