"""Find faults in a training run's record, each with its root-cause class and both numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

Finding = tuple[str, str, float, float]


def audit_run(record: Mapping[str, Any]) -> list[Finding]:
    """(fault, cause, found, expected) for each fault; causes are data, optimisation and infrastructure masking.

    Raises: ValueError if there is no step, or a step lacks tokens, first, devices or loss.
    """
    steps: Sequence[Mapping[str, Any]] = record["steps"]
    if not steps or not all({"tokens", "first", "devices", "loss"} <= step.keys() for step in steps):
        raise ValueError("record: found no steps, or one without tokens, first, devices and loss")
    return [*_tokens(record, steps), *_curve(record, steps), *_places(record, steps)]


def _tokens(record: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[Finding]:
    consumed = float(sum(step["tokens"] for step in steps))
    reached = float(max(step["first"] + step["tokens"] for step in steps))
    offered = float(record["corpus_tokens"] * record["epochs"])
    found = []
    if consumed < record["planned_tokens"]:
        planned = float(record["planned_tokens"])
        found.append(("fewer tokens than planned", "infrastructure masking", consumed, planned))
    if reached > offered or not all(step["tokens"] for step in steps):
        found.append(("corpus exhausted", "data", reached, offered))
    if consumed < 20 * record["parameters"]:
        found.append(("few tokens per parameter", "data", consumed / record["parameters"], 20.0))
    return found


def _curve(record: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[Finding]:
    losses = [float(step["loss"]) for step in steps]
    fall = fmean(losses[-20:-10]) - fmean(losses[-10:]) if len(losses) >= 20 else 0.0
    early = record["stop"] == "early stop" and fall > 0.01
    return [("stopped while falling", "optimisation", fall, 0.01)] if early else []


def _places(record: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> list[Finding]:
    found: list[Finding] = []
    for before, step in pairwise(steps):
        wanted = before["first"] + before["tokens"]
        if step["first"] != wanted:
            place = ("resumed at a wrong batch", "infrastructure masking", float(step["first"]), float(wanted))
            found.append(place)
            break
    elsewhere = sum(device != record["device_asked"] for step in steps for device in step["devices"])
    if elsewhere:
        found.append(("operations on another device", "infrastructure masking", float(elsewhere), 0.0))
    return found
