"""Convert one test of a foreign contract to a claim without a falsifier (unbound)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.contract.text.writer import Plain
from harness.provable.kind import KEYS, Kind, kind_of, kind_of_entry
from harness.provable.source import is_text

NO_TEST = {
    "proof_obligations": "a proof obligation, for which its contract names no test",
    "invariants": "an invariant, for which its contract names no test",
}
_RULES = ("title", "name", "description", "property", "condition", "claim", "statement", "prediction", "formal", "text")


@dataclass
class Entry:
    """A claim in conversion: its section, its test's kind, its wanted id, and the claim without its id."""

    section: str
    kind: Kind
    wanted: str
    """The source's id; '' if it has none."""
    claim: dict[str, Any]
    key: str | None = None
    """The entry's key if the source has a map of tests."""

    def as_claim(self, id_: str) -> dict[str, Any]:
        """The claim with its final id; keeps the source's id and key in `imported` if they differ."""
        kept = dict(self.claim.get("imported", {}))
        if self.key is not None and self.key not in (id_, self.wanted or None):
            kept["key" if "key" not in kept else "key of the entry"] = self.key
        if self.wanted and self.wanted != id_:
            kept["id" if "id" not in kept else "id of the entry"] = self.wanted
        rest = {key: value for key, value in self.claim.items() if key != "imported"}
        return {"id": id_, **rest, **({"imported": kept} if kept else {})}


def entry(value: Any, section: str, key: str | None = None) -> Entry:
    """Convert an entry of a list of tests; `key` is its key if the source has a map of tests.

    Keys for which our format has a field keep their names, except that the text of `test` becomes `unbound`; a
    missing rule is copied from the first text in `_RULES`; everything else is kept unchanged in `imported`.
    """
    rest = dict(value) if isinstance(value, dict) else {"text": value}
    wanted = rest.pop("id") if is_text(rest.get("id")) else key or ""
    kind = kind_of_entry(rest)
    claim: dict[str, Any] = {"rule": rest.pop("rule") if is_text(rest.get("rule")) else _rule(rest, wanted)}
    if is_text(rest.get("prediction")):
        claim["prediction"] = rest.pop("prediction")
    claim["unbound"] = rest.pop("test") if is_text(rest.get("test")) else _why(rest, section, kind)
    if isinstance(blocking := rest.get("ship_blocking"), Plain) and blocking.lower() in ("true", "false"):
        claim["ship_blocking"] = rest.pop("ship_blocking")
    if is_text(rest.get("if_fails")):
        claim["if_fails"] = rest.pop("if_fails")
    if rest:
        claim["imported"] = rest
    return Entry(section, kind, wanted, claim, key)


def _rule(rest: dict[str, Any], wanted: str) -> str:
    words = [rest[key] for key in _RULES if is_text(rest.get(key))]
    words += [value for value in rest.values() if is_text(value)]
    # `or`, not a default: an id may be empty.
    return str(words[0]) if words else wanted if wanted.strip() else "the source has no rule"


def _why(rest: dict[str, Any], section: str, kind: Kind) -> str:
    """The text of `unbound` for an entry without a text in `test`."""
    for key in KEYS:
        if key in rest and kind_of(rest[key]) is kind and kind is not Kind.NONE:
            return _flat(rest[key])
    return NO_TEST.get(section, "the source names no test")


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_flat(each)}" for key, each in value.items())
    return "; ".join(map(_flat, value)) if isinstance(value, list) else str(value) or "null"
