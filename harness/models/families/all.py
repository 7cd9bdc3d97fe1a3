"""The small random models of all declared families in one folder: the weights of `harness run builtin:families`."""

from __future__ import annotations

from pathlib import Path

from harness.models import cache
from harness.models.families import FAMILIES
from harness.models.families.folder import write

VERSION = 1
"""To be raised with every change of what is written."""


def build() -> Path:
    """The folder, a subfolder for each family with its first variant; written once per version of transformers.

    Raises: ModuleNotFoundError without transformers; UserError if the cache cannot be written.
    """
    from transformers import __version__ as version

    return cache.get(cache.root() / f"families-{VERSION}-{version}", _write)


def _write(folder: Path) -> None:
    for family in FAMILIES:
        write(family, folder / family)
