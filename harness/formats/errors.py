"""What a reader of `formats` raises."""

from __future__ import annotations


class Malformed(ValueError):
    """A file that is not what it says: one line with the file, where, what was found and what was expected."""
