"""The test of the claim, and known-wrong versions (mutants) that it must catch."""

from types import SimpleNamespace

import numpy as np

from harness.observation import Observation


def parity(subject, case, *, rows, hidden, std, eps):
    """One call of `rmsnorm` against float64 NumPy. The tolerance is in the contract, not here.

    `subject` is your kernel, the baseline or a mutant; `case` gives each of them the same arrays.
    """
    x = case.normal("x", (rows, hidden), std=std)
    weight = case.normal("weight", (hidden,), mean=1.0, std=0.2)
    wide = x.astype(np.float64)
    want = wide / np.sqrt(np.mean(wide**2, axis=-1, keepdims=True) + eps) * weight.astype(np.float64)
    return Observation(y=(subject.rmsnorm(x, weight, eps), want))


# A mutant is a function: baseline -> wrong baseline. Each repeats a bug that real software had.


def eps_hardcoded(baseline):
    """eps is always 1e-5, whatever the model's config has (ggml-org/llama.cpp#2373)."""
    return _like(baseline, lambda x, weight, eps: baseline.rmsnorm(x, weight, 1e-5))


def mean_subtracted(baseline):
    """Rows are centred first, as in LayerNorm."""
    return _like(baseline, lambda x, weight, eps: baseline.rmsnorm(x - x.mean(axis=-1, keepdims=True), weight, eps))


def _like(baseline, rmsnorm):
    return SimpleNamespace(rmsnorm=rmsnorm, ARRAYS=baseline.ARRAYS)


MUTANTS = {"eps_hardcoded": eps_hardcoded, "mean_subtracted": mean_subtracted}
