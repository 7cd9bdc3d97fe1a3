"""The exception that the readers in `formats` raise."""

from __future__ import annotations


class Malformed(ValueError):
    """A file violates its format: one line with the file, the place, what was found and what was expected."""
