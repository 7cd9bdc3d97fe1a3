"""Sizes at which kernels go wrong: around tiles, and beyond tables and types."""

from __future__ import annotations

import math
from typing import Any

TILES = (32, 64, 128)
"""Warps, rows and blocks: a size one below, at and one above each leaves a tail, none, and a tail of one."""
THREE = (96, 384, 768)
"""Three blocks: a whole number of them that is no power of two."""
BEYOND = (256, 512, 1024, 2048, 4096, 32_767, 65_536)
"""Bounds of one thread block, of tables of positions, of int16 and uint16: the next size is tried."""
ALL = 9
"""A range of so few sizes is tried whole."""


def edges(low: int, high: int) -> list[int]:
    """The sizes from low to high that are always tried, ascending: both ends, small ones, and the edges between."""
    if high - low < ALL:
        return list(range(low, high + 1))
    around = {tile + d for tile in TILES for d in (-1, 0, 1)} | {bound + 1 for bound in BEYOND}
    wanted = {low, high, 2, 3, 5, 7, 1000, *THREE, *around}
    return sorted(size for size in wanted if low <= size <= high)


def deal(
    rows: list[dict[str, Any]], sizes: dict[str, list[Any]], together: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Give each row of options sizes, until each size of every parameter stands in a row.

    The first parameter rises, the second one falls, the third one starts in the middle, and so on: where one is large,
    the next is small, and the work of a case stays bounded. Two sizes or more in `together` add two rows: all at their
    largest, and all equal, where one axis can be taken for the other unseen. Rows repeat if there are more sizes, sizes
    if there are more rows.
    """
    count = max(len(rows), *map(len, sizes.values()))
    step = next(s for s in range(round(count * 0.618), count + 2) if s > 0 and math.gcd(s, count) == 1)
    found = []
    for i in range(count):
        at = i * step % count  # neighbouring rows hold the same options, so their sizes lie far apart
        drawn = {
            name: values[(at, count - 1 - at, (at + count // 2) % count)[k % 3] * len(values) // count]
            for k, (name, values) in enumerate(sizes.items())
        }
        found.append({**rows[i % len(rows)], **drawn})
    if together and len(together) > 1:
        equal = min(together.values())
        found.append({**found[0], **rows[count % len(rows)], **together})
        if all(sizes[name][0] <= equal for name in together):
            found.append({**found[1 % count], **rows[(count + 1) % len(rows)], **dict.fromkeys(together, equal)})
    return found
