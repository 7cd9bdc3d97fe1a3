"""AdamW, clipping, averaging and schedules, wrong in one place each.

The update is written here; the loop around it, for claims on whole trainings, is the torch candidate's."""

import math
from types import SimpleNamespace

import torch

from harness.candidates.torch.training.optim import Optimizer
from wrong.version import Version, normal

STEPS = ("harness.falsifiers.training.optim:",)
RATES = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}
MANY = 65536


def _moments(g, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g


def _adamw(update):
    """A subject with this update as `adamw_step`, and as the step of the optimizer. `update(w, m, v, g, **rates)`."""

    def adamw_step(w, g, m, v, *, step, lr, beta1, beta2, eps, weight_decay):
        m, v = _moments(g, m, v, beta1, beta2)
        moved = update(w, m, v, step=step, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
        return moved.to(w.dtype), m, v

    class Stepped(Optimizer):
        def _update(self, grads):
            self._step += 1
            for name, g in grads.items():
                self._weights[name], self._m[name], self._v[name] = adamw_step(
                    self._weights[name],
                    g,
                    self._m[name],
                    self._v[name],
                    step=self._step,
                    weight_decay=self._decay[name],
                    **self._rates,
                )

    return SimpleNamespace(ARRAYS="torch", adamw_step=adamw_step, optimizer=Stepped)


def _plain(w, m, v, *, step, lr, beta1, beta2, eps, weight_decay):
    root = (v / (1 - beta2**step)).sqrt() + eps
    return w * (1 - lr * weight_decay) - lr / (1 - beta1**step) * m / root


def decays_after_the_step(wrong):
    """Decay is taken of the weight after its step."""

    def update(w, m, v, *, lr, weight_decay, **rates):
        moved = _plain(w, m, v, lr=lr, weight_decay=0.0, **rates)
        return moved * (1 - lr * weight_decay)

    return _adamw(update if wrong else _plain)


def eps_is_scaled(wrong):
    """eps is divided by the root of the second correction."""

    def update(w, m, v, *, step, lr, beta1, beta2, eps, weight_decay):
        root = (v.sqrt() + eps) / math.sqrt(1 - beta2**step)
        return w * (1 - lr * weight_decay) - lr / (1 - beta1**step) * m / root

    return _adamw(update if wrong else _plain)


def moments_are_not_corrected(wrong):
    """Neither moment is corrected for its start."""

    def update(w, m, v, *, lr, eps, weight_decay, **_):
        return w * (1 - lr * weight_decay) - lr * m / (v.sqrt() + eps)

    return _adamw(update if wrong else _plain)


def steps_in_eight_bits(wrong):
    """The step is counted in eight bits: step 257 is corrected as the first."""

    def update(w, m, v, *, step, **rates):
        return _plain(w, m, v, step=(step - 1) % 256 + 1 if wrong else step, **rates)

    return _adamw(update)


def correction_ends_at_1000(wrong):
    """From step 1,000 on the moments are not corrected; beta2 = 0.999 still needs it."""

    def update(w, m, v, *, step, **rates):
        return _plain(w, m, v, step=10**9 if wrong and step >= 1000 else step, **rates)

    return _adamw(update)


def numbers_beyond_65536(wrong):
    """Numbers of a tensor from 65,536 on are not updated."""

    def update(w, m, v, **rates):
        moved = _plain(w, m, v, **rates)
        if wrong and w.numel() > MANY:
            moved = moved.contiguous()
            moved.view(-1)[MANY:] = w.reshape(-1)[MANY:]
        return moved

    return _adamw(update)


def still_rows_do_not_decay(wrong):
    """A number without gradient and moments is skipped, its decay too."""

    def update(w, m, v, **rates):
        moved = _plain(w, m, v, **rates)
        return torch.where((m == 0) & (v == 0), w, moved) if wrong else moved

    return _adamw(update)


def transposed_weights(wrong):
    """A transposed weight is read in the order of its memory, its moments in the order of their rows."""

    def update(w, m, v, **rates):
        if not wrong or w.is_contiguous() or w.ndim != 2:
            return _plain(w, m, v, **rates)
        rows = w.T.reshape(w.shape)
        return _plain(rows, m, v, **rates)

    return _adamw(update)


def tensors(r, *shape):
    return torch.from_numpy(normal(r, *shape))


def stepped(*shape, step=3, change=lambda *arrays: arrays, **rates):
    def call(f, r):
        w, g, m = (tensors(r, *shape) for _ in range(3))
        w, g, m, v = change(w, g, m, tensors(r, *shape).abs())
        return f.adamw_step(w, g, m, v, step=step, **{**RATES, **rates})

    return call


def _still(w, g, m, v):
    for array in (g, m, v):
        array[0] = 0
    return w, g, m, v


def _turned(w, g, m, v):
    return w.T, g.T, m.T, v.T


STEP = "adamw_step"


VERSIONS = (
    Version(decays_after_the_step, STEP, stepped(5), "huggingface/transformers#14539", falsifiers=STEPS),
    Version(eps_is_scaled, STEP, stepped(5, eps=1e-2), "pytorch/pytorch#22628", falsifiers=STEPS),
    Version(moments_are_not_corrected, STEP, stepped(5), "ml-explore/mlx#1640", falsifiers=STEPS),
    Version(
        steps_in_eight_bits,
        STEP,
        stepped(5, step=257),
        "Synthetic: the step is one byte of a packed state",
        rare="one step",
        falsifiers=STEPS,
    ),
    Version(
        correction_ends_at_1000,
        STEP,
        stepped(5, step=1000),
        "Synthetic: a power is saved where it is thought to be 0",
        rare="one step",
        falsifiers=STEPS,
    ),
    Version(
        numbers_beyond_65536,
        STEP,
        stepped(70000),
        "Synthetic: a chunk of the multi-tensor kernel holds 65,536 numbers",
        rare="more numbers than a chunk holds",
        falsifiers=STEPS,
    ),
    Version(
        still_rows_do_not_decay,
        STEP,
        stepped(5, 4, change=_still),
        "Synthetic: sparse updates skip embeddings of words that did not occur",
        rare="one value",
        falsifiers=STEPS,
    ),
    Version(
        transposed_weights,
        STEP,
        stepped(5, 4, change=_turned),
        "Synthetic: the kernel walks through memory, and weights that are tied or fused lie transposed",
        rare="one layout",
        falsifiers=STEPS,
    ),
)
