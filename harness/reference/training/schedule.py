"""The learning rate as a function of the step: linear warm-up, then cosine or linear decay."""

from __future__ import annotations

import math


def lr_at(step: int, *, peak: float, warmup: int, total: int, decay: str = "cosine", floor: float = 0.0) -> float:
    """Learning rate of update `step`.

    Up:   peak step / warmup, for step < warmup.
    Down: floor + (peak - floor) s(p), p = (step - warmup) / (total - warmup), at most 1,
          s(p) = (1 + cos(pi p)) / 2 for "cosine", 1 - p for "linear".

    Units:  step counts from 0, as LambdaLR does; after `total` the rate stays at floor.
    Raises: ValueError if a number is out of range or decay is neither "cosine" nor "linear".
    Source: transformers get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup, and
            get_cosine_with_min_lr_schedule_with_warmup for the floor; arXiv:1608.03983 without restarts.
    """
    if decay not in ("cosine", "linear"):
        raise ValueError(f"schedule: found decay {decay!r}, expected cosine or linear")
    if not (peak > 0 and 0 <= floor <= peak):
        raise ValueError(f"schedule: found peak {peak} and floor {floor}, expected 0 <= floor <= peak and peak above 0")
    if not (step >= 0 and 0 <= warmup < total):
        raise ValueError(
            f"schedule: found step {step}, warmup {warmup}, total {total}, expected step >= 0 and 0 <= warmup < total"
        )
    if step < warmup:
        return peak * step / warmup
    done = min(1.0, (step - warmup) / (total - warmup))
    share = (1 + math.cos(math.pi * done)) / 2 if decay == "cosine" else 1 - done
    return floor + (peak - floor) * share
