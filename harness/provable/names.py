"""Make valid and unique contract ids and claim ids from any text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

MOST = 95
"""Most characters of an id: a claim's may stand after its contract's, and a contract allows 200 for both."""


def contract_id(text: str) -> str:
    """Kebab case: `C-GPUTRAIN_backend v2` -> `c-gputrain-backend-v2`; '' if no character is valid."""
    return _short(re.sub(r"[^a-z0-9]+", "-", _ascii(text).lower()).strip("-"))


def claim_id(text: str) -> str:
    """Upper case with hyphens: `falsify_sm.1` -> `FALSIFY-SM-1`; '' if no character is valid."""
    found = re.sub(r"[^A-Z0-9]+", "-", _ascii(text).upper()).strip("-")
    return _short(f"T-{found}" if found[:1].isdigit() else found)


def apart(wanted: Sequence[str], owners: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Make the wanted claim ids unique: prefix the contract's id (from `owners`) if two contracts want the same id or
    it is taken, and append a number if one contract wants it twice.
    """
    holders: dict[str, set[str]] = {}
    for name, owner in zip(wanted, owners, strict=True):
        holders.setdefault(name, set()).add(owner)
    first = [
        f"{claim_id(owner)}-{name}" if len(holders[name]) > 1 or name in taken else name
        for name, owner in zip(wanted, owners, strict=True)
    ]
    used, seen, found = {*taken, *first}, Counter[str](), []
    for name in first:
        seen[name] += 1
        number, fresh = seen[name], name
        while (number > 1 and fresh in used) or fresh in taken:
            fresh, number = f"{name}-{max(number, 2)}", number + 1
        used.add(fresh)
        found.append(fresh)
    return found


def _short(name: str) -> str:
    """Shorten a long id and append a digest of the whole, so that different long ids stay different."""
    if len(name) <= MOST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: MOST - 9].strip('-')}-{digest.upper() if name.isupper() else digest}"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
