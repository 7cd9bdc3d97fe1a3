"""How the claim is attacked: one call of `softmax`, beside float64 NumPy."""

import numpy as np

from harness.observation import Observation


def parity(subject, case, *, length, spread):
    """`subject` is your kernel, the baseline or a mutant; `case` builds the same input for each."""
    x = case.normal("x", (7, length), std=spread)
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return Observation(y=(subject.softmax(x), e / e.sum(axis=-1, keepdims=True)))


def no_max_subtraction(baseline):
    """exp of the raw scores: overflows to inf/inf on wide rows."""
    from types import SimpleNamespace

    def softmax(x):
        return x.exp() / x.exp().sum(-1, keepdim=True)

    return SimpleNamespace(softmax=softmax, ARRAYS="torch")


def last_column_dropped(baseline):
    """The sum stops one short, as a tail mask off by one does."""
    from types import SimpleNamespace

    def softmax(x):
        e = (x - x.amax(-1, keepdim=True)).exp()
        return e / e[..., :-1].sum(-1, keepdim=True)

    return SimpleNamespace(softmax=softmax, ARRAYS="torch")


MUTANTS = {"no_max_subtraction": no_max_subtraction, "last_column_dropped": last_column_dropped}
