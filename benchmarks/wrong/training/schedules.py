"""Learning-rate schedules, wrong in one place each."""

import math
from types import SimpleNamespace

from wrong.training.optimizers import STEPS
from wrong.version import Version


def _schedule(step, peak, warmup, total, decay, floor, shift=0, end=True):
    if step < warmup:
        return peak * (step + shift) / warmup
    done = (step - warmup) / (total - warmup)
    done = min(done, 1.0) if end else done
    share = (1 + math.cos(math.pi * done)) / 2 if decay == "cosine" else 1 - done
    return floor + (peak - floor) * share


def warmup_begins_at_one(wrong):
    """Warm-up counts from 1: the first step is not 0, and the peak comes a step early."""

    def lr_at(step, *, peak, warmup, total, decay="cosine", floor=0.0):
        return _schedule(step, peak, warmup, total, decay, floor, shift=1 if wrong else 0)

    return SimpleNamespace(lr_at=lr_at)


def rises_again_after_the_end(wrong):
    """Past the last step the cosine goes on and rises."""

    def lr_at(step, *, peak, warmup, total, decay="cosine", floor=0.0):
        return _schedule(step, peak, warmup, total, decay, floor, end=not wrong)

    return SimpleNamespace(lr_at=lr_at)


def linear_decay_has_no_floor(wrong):
    """Linear decay falls to 0, whatever floor is given."""

    def lr_at(step, *, peak, warmup, total, decay="cosine", floor=0.0):
        return _schedule(step, peak, warmup, total, decay, 0.0 if wrong and decay == "linear" else floor)

    return SimpleNamespace(lr_at=lr_at)


def scheduled(**options):
    return lambda f, r: [f.lr_at(s, peak=1.0, warmup=10, total=100, **options) for s in (0, 5, 50, 99, 100, 120)]


LR = "lr_at"


VERSIONS = (
    Version(warmup_begins_at_one, LR, scheduled(), "Synthetic: steps are counted from 1 elsewhere", falsifiers=STEPS),
    Version(
        rises_again_after_the_end,
        LR,
        scheduled(),
        "Synthetic: a resumed run goes on beyond the planned end",
        rare="one position",
        falsifiers=STEPS,
    ),
    Version(
        linear_decay_has_no_floor,
        LR,
        scheduled(decay="linear", floor=0.1),
        "Synthetic: the floor was added to the cosine alone",
        rare="one option",
        falsifiers=STEPS,
    ),
)
