"""Read a JSON object from an untrusted file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from harness.formats.errors import Malformed

MOST_BYTES = 64 << 20
"""Largest file in bytes; the largest tokenizer.json in use has 35 million."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped half of a surrogate pair; if its other half is missing, the text cannot be encoded as UTF-8."""


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises: Malformed if the file cannot be read, is not JSON, is not one object, or holds text that is not Unicode.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Malformed(f"{path}: found {path.stat().st_size} bytes, expected at most {MOST_BYTES} of JSON")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text)
        if _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise Malformed(f"{path}: cannot be read as JSON (too deeply nested)") from None
    except OSError as problem:
        raise Malformed(f"{path}: cannot be read ({problem.strerror or problem})") from None
    except UnicodeError:
        raise Malformed(f"{path}: cannot be read as JSON (its text is not valid Unicode)") from None
    except ValueError as problem:
        if isinstance(problem, Malformed):
            raise
        raise Malformed(f"{path}: cannot be read as JSON ({problem})") from None
    if not isinstance(found, dict):
        raise Malformed(f"{path}: found {type(found).__name__}, expected a JSON object")
    return found
