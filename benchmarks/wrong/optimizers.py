"""AdamW, clipping, averaging and schedules, wrong in one place each.

The update is written here; the loop around it, for claims on whole trainings, is the torch candidate's.
"""

import math
from types import SimpleNamespace

import torch

from harness.candidates.torch.training.accumulation import Accumulator
from harness.candidates.torch.training.optim import Optimizer
from wrong.version import Version, normal

STEPS = ("harness.falsifiers.training.optim:",)
CLIPS = ("harness.falsifiers.training.accumulation:clipping",)
AVERAGES = ("harness.falsifiers.training.accumulation:micro_batches",)
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


def tensors(r, *shape):
    return torch.from_numpy(normal(r, *shape))


def _step(*shape, step=3, change=lambda *arrays: arrays, **rates):
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


def scheduled(**options):
    return lambda f, r: [f.lr_at(s, peak=1.0, warmup=10, total=100, **options) for s in (0, 5, 50, 99, 100, 120)]


STEP, CLIP, LR = "adamw_step", "clip_gradients", "lr_at"
VERSIONS = (
    Version(decays_after_the_step, STEP, _step(5), "huggingface/transformers#14539", falsifiers=STEPS),
    Version(eps_is_scaled, STEP, _step(5, eps=1e-2), "pytorch/pytorch#22628", falsifiers=STEPS),
    Version(moments_are_not_corrected, STEP, _step(5), "ml-explore/mlx#1640", falsifiers=STEPS),
    Version(
        steps_in_eight_bits,
        STEP,
        _step(5, step=257),
        "Synthetic: the step is one byte of a packed state",
        rare="one step",
        falsifiers=STEPS,
    ),
    Version(
        correction_ends_at_1000,
        STEP,
        _step(5, step=1000),
        "Synthetic: a power is saved where it is thought to be 0",
        rare="one step",
        falsifiers=STEPS,
    ),
    Version(
        numbers_beyond_65536,
        STEP,
        _step(70000),
        "Synthetic: a chunk of the multi-tensor kernel holds 65,536 numbers",
        rare="more numbers than a chunk holds",
        falsifiers=STEPS,
    ),
    Version(
        still_rows_do_not_decay,
        STEP,
        _step(5, 4, change=_still),
        "Synthetic: sparse updates skip embeddings of words that did not occur",
        rare="one value",
        falsifiers=STEPS,
    ),
    Version(
        transposed_weights,
        STEP,
        _step(5, 4, change=_turned),
        "Synthetic: the kernel walks through memory, and weights that are tied or fused lie transposed",
        rare="one layout",
        falsifiers=STEPS,
    ),
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
