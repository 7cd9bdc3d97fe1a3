"""Memory bandwidth of a device, measured by torch's copies."""

from __future__ import annotations

import time
from statistics import median

import torch

COPIES = 9
BYTES = 512 << 20
"""Several times the largest cache of a device (50 MiB on an H100)."""


def device_bandwidth(device: str, size: int = BYTES) -> float:
    """Bytes per second, read and written, of copying `size` bytes on a device of torch; the median of nine copies.

    Reading one number of the copy waits until the device has made it; that takes microseconds.
    """
    source = torch.ones(size // 4, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    taken = []
    for _ in range(COPIES + 1):
        began = time.perf_counter()
        target.copy_(source)
        target[-1].item()
        taken.append(time.perf_counter() - began)
    return 2 * size / median(taken[1:])  # the first use of a device starts it
