"""Find faults in the record of a training run that its loss curve does not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

DATA, OPTIMISATION, INFRASTRUCTURE = "data", "optimisation", "infrastructure masking"
TOKENS_PER_PARAMETER = 20
"""Hoffmann et al., arXiv:2203.15556, table 3: tokens per parameter of a compute-optimal run."""
WINDOW = 10
STILL_FALLING = 0.01
"""Nats: a larger fall between the mean losses of the last two windows means that the loss still falls."""
Finding = tuple[str, str, float, float]
"""(fault, root-cause class, found, expected)."""


def audit(record: Mapping[str, Any]) -> list[Finding]:
    """Every fault of a run, with its root-cause class and both numbers; an empty list for a sound run.

    A record holds parameters, planned_tokens, corpus_tokens, epochs, device_asked, stop (`planned`, `early stop` or
    `exhausted`), and steps. A step holds its number of tokens, first (its offset in the token stream), the devices
    of its operations, and its loss.
    Shapes: steps a list of {tokens, first, devices, loss}.
    Raises: ValueError if there is no step, or a step lacks one of these four keys.
    """
    steps = list(record["steps"])
    if not steps or any(key not in step for step in steps for key in ("tokens", "first", "devices", "loss")):
        raise ValueError("record: found no steps, or one without tokens, first, devices and loss")
    tokens = np.array([step["tokens"] for step in steps], np.float64)
    firsts = np.array([step["first"] for step in steps], np.float64)
    consumed, offered = float(tokens.sum()), float(record["corpus_tokens"] * record["epochs"])
    found: list[Finding] = []
    if consumed < record["planned_tokens"]:
        found.append(("fewer tokens than planned", INFRASTRUCTURE, consumed, float(record["planned_tokens"])))
    if np.any(tokens == 0) or np.max(firsts + tokens) > offered:
        found.append(("corpus exhausted", DATA, float(np.max(firsts + tokens)), offered))
    if record["stop"] == "early stop" and _fall(steps) > STILL_FALLING:
        found.append(("stopped while falling", OPTIMISATION, _fall(steps), STILL_FALLING))
    wanted = np.concatenate([[firsts[0]], firsts[:-1] + tokens[:-1]])
    if np.any(firsts != wanted):
        at = int(np.flatnonzero(firsts != wanted)[0])
        found.append(("resumed at a wrong batch", INFRASTRUCTURE, float(firsts[at]), float(wanted[at])))
    elsewhere = sum(device != record["device_asked"] for step in steps for device in step["devices"])
    if elsewhere:
        found.append(("operations on another device", INFRASTRUCTURE, float(elsewhere), 0.0))
    share = consumed / record["parameters"]
    if share < TOKENS_PER_PARAMETER:
        found.append(("few tokens per parameter", DATA, share, float(TOKENS_PER_PARAMETER)))
    return found


def _fall(steps: list[Mapping[str, Any]]) -> float:
    """Mean loss of the last window but one minus that of the last window; 0 if the run has fewer than two windows."""
    losses = [float(step["loss"]) for step in steps]
    if len(losses) < 2 * WINDOW:
        return 0.0
    return float(np.mean(losses[-2 * WINDOW : -WINDOW]) - np.mean(losses[-WINDOW:]))
