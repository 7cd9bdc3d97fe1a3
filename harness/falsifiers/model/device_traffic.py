"""Falsifiers of what a model moves between host and device while it computes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import case_tokens, case_weights, small_config
from harness.observation import Observation

MEASURES = {
    "host_copies": "tensors copied between host and device during the calls",
    "host_reads": "values for which the host waited during the calls: item(), if on a tensor, nonzero, a mask as index",
    "host_operations": "operations on host tensors alone during the calls; numbers without dimensions do not count",
}


def decoding(subject: Any, case: Case, *, length: int, steps: int, batch: int = 2) -> Observation:
    """A forward pass, a prefill and single decode steps of a small Qwen2 on the run's device; loading is not counted.

    Shapes: tokens (batch, length + steps).
    """
    config = small_config()
    tokens = case_tokens(case, config, batch, length + steps)
    model = subject.load(config, case_weights(case, config))
    seen = subject.traffic
    seen.clear()
    model.logits(tokens)
    _, cache = model.prefill(tokens[:, :length])
    for at in range(length, length + steps):
        _, cache = model.decode(tokens[:, at : at + 1], cache)
    return _counted(seen)


def gradients(subject: Any, case: Case, *, length: int, batch: int = 2) -> Observation:
    """The loss of a small Qwen2 and its gradients on the run's device; the loss itself is one read.

    Shapes: tokens, targets (batch, length).
    """
    config = small_config()
    tokens = case_tokens(case, config, batch, length)
    targets = case.integers("targets", (batch, length), 0, config["vocab_size"])
    model = subject.load(config, case_weights(case, config))
    seen = subject.traffic
    seen.clear()
    model.loss_and_grads(tokens, targets)
    return _counted(seen)


def _counted(seen: Any) -> Observation:
    counts = {"host_copies": seen.copies, "host_reads": seen.reads, "host_operations": seen.host}
    return Observation(
        where={name: _most(found) for name, found in counts.items()},
        **{name: sum(found.values()) for name, found in counts.items()},
    )


def _most(found: Counter[str]) -> str:
    """The operation that was counted most often, `<call>: <operation>`; empty if there is none."""
    return found.most_common(1)[0][0] if found else ""
