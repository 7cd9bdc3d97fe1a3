"""Clipping and averaging of gradients, wrong in one place each."""

from types import SimpleNamespace

import torch

from harness.candidates.torch.training.accumulation import Accumulator
from wrong.training.optimizers import MANY, tensors
from wrong.version import Version

CLIPS = ("harness.falsifiers.training.accumulation:clipping",)
AVERAGES = ("harness.falsifiers.training.accumulation:micro_batches",)


def _clip(norm_of, factor_of=lambda norm, most: min(1.0, most / (norm + 1e-6))):
    def clip_gradients(grads, max_norm):
        norm = norm_of(grads)
        factor = factor_of(float(norm), max_norm)
        dtype = next(iter(grads.values())).dtype
        return {name: (g.double() * factor).to(g.dtype) for name, g in grads.items()}, torch.as_tensor(norm).to(dtype)

    return SimpleNamespace(ARRAYS="torch", clip_gradients=clip_gradients)


def _norm(grads):
    return sum(g.double().square().sum() for g in grads.values()).sqrt()


def norm_of_the_first_65536(wrong):
    """The norm of a tensor is that of its first 65,536 numbers."""
    return _clip((lambda grads: _norm({n: g.reshape(-1)[:MANY] for n, g in grads.items()})) if wrong else _norm)


def norms_are_added(wrong):
    """The global norm is the sum of the tensors' norms."""
    return _clip((lambda grads: sum(g.double().norm() for g in grads.values())) if wrong else _norm)


def small_gradients_are_scaled_up(wrong):
    """The factor is not held at 1: a gradient below max_norm grows to it."""
    return _clip(_norm, (lambda norm, most: most / (norm + 1e-6)) if wrong else lambda n, m: min(1.0, m / (n + 1e-6)))


def squares_of_half(wrong):
    """The norm is taken in float16, where squares above 255 overflow and nothing is left."""

    def norm(grads):
        if next(iter(grads.values())).dtype != torch.float16:
            return _norm(grads)
        return sum(g.square().float().sum() for g in grads.values()).sqrt()

    return _clip(norm if wrong else _norm)


def mean_of_means(wrong):
    """Micro-batches count alike, whatever number of tokens they have."""

    class Mean(Accumulator):
        def add(self, grads, tokens):
            super().add(grads, 1 if wrong else tokens)

    return SimpleNamespace(ARRAYS="torch", accumulator=Mean)


def eighth_micro_batch_is_lost(wrong):
    """Every eighth micro-batch is counted and not added."""

    class Lossy(Accumulator):
        def reset(self):
            super().reset()
            self.seen = 0

        def add(self, grads, tokens):
            self.seen += 1
            lost = wrong and self.seen % 8 == 0
            super().add({name: g * 0 for name, g in grads.items()} if lost else grads, tokens)

    return SimpleNamespace(ARRAYS="torch", accumulator=Lossy)


def clipped(shape, max_norm=1.0, size=1.0, dtype=torch.float32):
    def call(f, r):
        grads = {"a": size * tensors(r, *shape), "b": size * tensors(r, 3)}
        return f.clip_gradients({name: g.to(dtype) for name, g in grads.items()}, max_norm)

    return call


def averaged(count):
    def call(f, r):
        total = f.accumulator()
        total.reset()
        for i in range(count):
            total.add({"a": tensors(r, 4)}, 1 + i)
        return total.mean()

    return call


CLIP = "clip_gradients"


VERSIONS = (
    Version(
        norm_of_the_first_65536,
        CLIP,
        clipped((70000,)),
        "Synthetic: a chunk of the multi-tensor norm holds 65,536 numbers",
        rare="more numbers than a chunk holds",
        falsifiers=CLIPS,
    ),
    Version(
        norms_are_added, CLIP, clipped((40,)), "Synthetic: the norm of norms without the squares", falsifiers=CLIPS
    ),
    Version(
        small_gradients_are_scaled_up,
        CLIP,
        clipped((40,), max_norm=1e3),
        "Synthetic: normalising is taken for clipping",
        rare="one value range",
        falsifiers=CLIPS,
    ),
    Version(
        squares_of_half,
        CLIP,
        clipped((40,), size=300.0, dtype=torch.float16),
        "Synthetic: gradients are clipped before they are widened",
        rare="one value range",
        falsifiers=CLIPS,
    ),
    Version(mean_of_means, "accumulator", averaged(4), "huggingface/transformers#34191", falsifiers=AVERAGES),
    Version(
        eighth_micro_batch_is_lost,
        "accumulator",
        averaged(9),
        "Synthetic: a ring of eight buffers whose last one is flushed after it is cleared",
        rare="one position",
        falsifiers=AVERAGES,
    ),
)
