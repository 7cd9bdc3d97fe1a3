"""A training-run audit in plain Python, one rule after the other."""

from __future__ import annotations

from typing import Any

ARRAYS = "numpy"
Finding = tuple[str, str, float, float]


def audit_run(record: dict[str, Any]) -> list[Finding]:
    """(fault, cause, found, expected) for each fault."""
    steps = record["steps"]
    found: list[Finding] = []
    consumed = 0
    place = steps[0]["first"]
    wrong_place = None
    elsewhere = 0
    for step in steps:
        if step["first"] != place and wrong_place is None:
            wrong_place = (step["first"], place)
        place = step["first"] + step["tokens"]
        consumed += step["tokens"]
        elsewhere += len([device for device in step["devices"] if device != record["device_asked"]])
    if consumed < record["planned_tokens"]:
        found.append(("fewer tokens than planned", "infrastructure masking", consumed, record["planned_tokens"]))
    furthest = max(step["first"] + step["tokens"] for step in steps)
    empty = [step for step in steps if step["tokens"] == 0]
    if furthest > record["epochs"] * record["corpus_tokens"] or empty:
        found.append(("corpus exhausted", "data", furthest, record["epochs"] * record["corpus_tokens"]))
    if record["stop"] == "early stop" and len(steps) >= 20:
        last = sum(step["loss"] for step in steps[-10:]) / 10
        fall = sum(step["loss"] for step in steps[-20:-10]) / 10 - last
        if fall > 0.01:
            found.append(("stopped while falling", "optimisation", fall, 0.01))
    if wrong_place is not None:
        found.append(("resumed at a wrong batch", "infrastructure masking", *wrong_place))
    if elsewhere:
        found.append(("operations on another device", "infrastructure masking", elsewhere, 0))
    if consumed / record["parameters"] < 20:
        found.append(("few tokens per parameter", "data", consumed / record["parameters"], 20))
    return found
