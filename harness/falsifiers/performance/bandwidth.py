"""Memory bandwidth of the machine and of a device, measured by copying."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

COPIES = 9
HOST_BYTES = 64 << 20
DEVICE_BYTES = 512 << 20
"""Several times the largest cache of a device (50 MiB on an H100)."""


def host_bandwidth() -> float:
    """Bytes per second, read and written, of copying 64 MiB in NumPy; the median of nine copies."""
    source, target = np.ones(HOST_BYTES // 8), np.empty(HOST_BYTES // 8)
    return 2 * source.nbytes / _median(lambda: np.copyto(target, source))


def device_bandwidth(device: str, size: int = DEVICE_BYTES) -> float:
    """Bytes per second, read and written, of copying `size` bytes on a device of torch; the median of nine copies.

    Reading one number of the copy waits until the device has made it; that takes microseconds.
    """
    import torch

    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        target[-1].item()

    copy()  # the first use of a device starts it
    return 2 * size / _median(copy)


def _median(act: Callable[[], object]) -> float:
    """The median of the seconds that some calls take."""
    taken = []
    for _ in range(COPIES):
        began = time.perf_counter()
        act()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))
