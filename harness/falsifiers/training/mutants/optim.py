"""AdamW and learning rates that were shipped wrong."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace


@mutant
def l2_coupled_decay(baseline: Any) -> Any:
    """Decay added to the gradient, so it passes through the moments (tensorflow/addons#2282)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, weight_decay: float, **rates: Any) -> Any:
        return baseline.adamw_step(w, g + weight_decay * w, m, v, weight_decay=0.0, **rates)

    return _both(baseline, adamw_step)


@mutant
def decay_not_times_lr(baseline: Any) -> Any:
    """w shrinks by weight_decay itself, whatever the learning rate (systems.md C5)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, lr: float, weight_decay: float, **rates: Any) -> Any:
        return baseline.adamw_step(w, g, m, v, lr=lr, weight_decay=weight_decay / lr, **rates)

    return _both(baseline, adamw_step)


@mutant
def eps_inside_sqrt(baseline: Any) -> Any:
    """sqrt(v + eps) instead of sqrt(v) + eps: steps of small gradients vanish (systems.md C5)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, step: int, eps: float, **rates: Any) -> Any:
        _, m, v = baseline.adamw_step(w, g, m, v, step=step, eps=eps, **rates)
        root = (v / (1 - rates["beta2"] ** step) + eps).sqrt()
        return _moved(w, m / (1 - rates["beta1"] ** step), root, rates), m, v

    return _both(baseline, adamw_step)


@mutant
def eps_missing(baseline: Any) -> Any:
    """No eps: elements that never had a gradient become 0/0; a floor of 1e-30 hides that (systems.md C5)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, eps: float, **rates: Any) -> Any:
        return baseline.adamw_step(w, g, m, v, eps=1e-30, **rates)

    return _both(baseline, adamw_step)


@mutant
def step_from_zero(baseline: Any) -> Any:
    """The corrections use the updates already taken, one too few; the first update divides by a floor (system C5)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, step: int, eps: float, **rates: Any) -> Any:
        _, m, v = baseline.adamw_step(w, g, m, v, step=step, eps=eps, **rates)
        first, second = (max(1 - rates[beta] ** (step - 1), 1e-8) for beta in ("beta1", "beta2"))
        return _moved(w, m / first, (v / second).sqrt() + eps, rates), m, v

    return _both(baseline, adamw_step)


@mutant
def no_bias_correction(baseline: Any) -> Any:
    """BertAdam's form: the moments are used as they are (ml-explore/mlx#1640)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, *, step: int, eps: float, **rates: Any) -> Any:
        _, m, v = baseline.adamw_step(w, g, m, v, step=step, eps=eps, **rates)
        return _moved(w, m, v.sqrt() + eps, rates), m, v

    return _both(baseline, adamw_step)


@mutant
def noncontiguous_write_lost(baseline: Any) -> Any:
    """The update of a transposed tensor is written to a copy and lost (pytorch/pytorch#118115)."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, **rates: Any) -> Any:
        moved, m, v = baseline.adamw_step(w, g, m, v, **rates)
        return (moved if w.is_contiguous() else w.clone()), m, v

    return _both(baseline, adamw_step)


@mutant
def only_the_first_block(baseline: Any) -> Any:
    """A tensor's elements beyond 65,536 keep their values. Synthetic: a grid of one launch covers 65,536 elements."""

    def adamw_step(w: Tensor, g: Tensor, m: Tensor, v: Tensor, **rates: Any) -> Any:
        answers = baseline.adamw_step(w, g, m, v, **rates)
        late = torch.arange(w.numel(), device=w.device).reshape(w.shape) >= 65536
        return tuple(torch.where(late, old, new) for old, new in zip((w, m, v), answers, strict=True))

    return replace(baseline, adamw_step=adamw_step)


@mutant
def norms_and_biases_decayed(baseline: Any) -> Any:
    """The list of tensors without decay is not looked at (ServiceNow/Fast-LLM#542, transformers#35927)."""

    def optimizer(weights: Any, *, no_decay: Any = (), **rates: Any) -> Any:
        return baseline.optimizer(weights, **rates)

    return replace(baseline, optimizer=optimizer)


@mutant
def third_buffer_kept(baseline: Any) -> Any:
    """A maximum of v is kept as amsgrad keeps it, and not used: half as much memory again.
    Synthetic: the buffer is allocated for every parameter, and only its use asks for the option."""

    class Wrong(baseline.optimizer):
        def state(self) -> Any:
            found = super().state()
            return {**found, "max_v": {name: v.clone() for name, v in found["v"].items()}}

    return replace(baseline, optimizer=Wrong)


@mutant
def step_counted_per_tensor(baseline: Any) -> Any:
    """One counter for all tensors, raised once per tensor: five times too far after every update
    (flashlight/flashlight#143)."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            super().update()
            for state in self.adamw.state.values():
                state["step"] += len(self.parameters) - 1

    return replace(baseline, optimizer=Wrong)


@mutant
def step_stops_at_256(baseline: Any) -> Any:
    """The step count is a bfloat16 as the weights are: 256 + 1 is 256, and the bias correction stands still
    (pytorch/ao#4915)."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            super().update()
            for state in self.adamw.state.values():
                state["step"] = state["step"].bfloat16().float()

    return replace(baseline, optimizer=Wrong)


@mutant
def moments_kept_in_float32(baseline: Any) -> Any:
    """The moments of float64 weights are rounded to float32 after each update: no step shows it, a thousand do.
    Synthetic: buffers are allocated in float32, the right type for every model but a float64 one."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            super().update()
            for state in self.adamw.state.values():
                state |= {key: state[key].float().to(state[key].dtype) for key in ("exp_avg", "exp_avg_sq")}

    return replace(baseline, optimizer=Wrong)


@mutant
def state_lost_on_load(baseline: Any) -> Any:
    """Only weights are restored; moments and step begin anew (systems.md C5)."""
    return replace(baseline, optimizer=_loading(baseline, lambda state, fresh: fresh))


@mutant
def step_lost_on_load(baseline: Any) -> Any:
    """The moments are restored and the step begins anew, so they are corrected twice (systems.md C5)."""
    return replace(baseline, optimizer=_loading(baseline, lambda state, fresh: {**state, "step": 0}))


@mutant
def second_moment_lost_on_load(baseline: Any) -> Any:
    """One of the two arrays per tensor is not in the file (systems.md C5)."""
    return replace(baseline, optimizer=_loading(baseline, lambda state, fresh: {**state, "v": fresh["v"]}))


@mutant
def state_loaded_in_16_bits(baseline: Any) -> Any:
    """Moments are saved in the model's 16-bit type; training resumes nearly where it was
    (facebookresearch/fairscale#50)."""

    def narrow(state: Any, fresh: Any) -> Any:
        return {**state, "m": {name: m.bfloat16().to(m.dtype) for name, m in state["m"].items()}}

    return replace(baseline, optimizer=_loading(baseline, narrow))


@mutant
def warmup_starts_at_one(baseline: Any) -> Any:
    """Warm-up counts from 1 and the decay with it: every step has the next one's rate.
    Synthetic: the optimizer counts steps from 1 and the schedule from 0, and both share a variable."""
    return replace(baseline, lr_at=lambda step, **options: baseline.lr_at(step + 1, **options))


@mutant
def warmup_not_subtracted(baseline: Any) -> Any:
    """The decay is measured from step 0, so the rate falls off a cliff where warm-up ends
    (huggingface/transformers#4940)."""

    def lr_at(step: int, *, warmup: int, **options: Any) -> Any:
        return baseline.lr_at(step, warmup=warmup if step < warmup else 0, **options)

    return replace(baseline, lr_at=lr_at)


@mutant
def decay_of_two_half_waves(baseline: Any) -> Any:
    """cos(2 pi p): the rate is back at its peak at the end (num_cycles 1 where 0.5 is meant).
    Synthetic: one decay reads as one cycle, and half a wave has to be asked for as 0.5."""

    def lr_at(step: int, *, peak: float, warmup: int, total: int, floor: float = 0.0, **options: Any) -> Any:
        if step < warmup:
            return baseline.lr_at(step, peak=peak, warmup=warmup, total=total, floor=floor, **options)
        done = min(1.0, (step - warmup) / (total - warmup))
        return floor + (peak - floor) * (1 + math.cos(2 * math.pi * done)) / 2

    return replace(baseline, lr_at=lr_at)


@mutant
def floor_ignored(baseline: Any) -> Any:
    """The rate falls to 0, not to its floor.
    Synthetic: cosine schedules end at 0 by default, and the floor is one more argument to hand on."""
    return replace(baseline, lr_at=lambda step, floor=0.0, **options: baseline.lr_at(step, **options))


def _both(baseline: Any, adamw_step: Any) -> Any:
    """The wrong step alone, and inside an optimizer that takes it for every tensor."""

    class Wrong(baseline.optimizer):
        def update(self) -> None:
            before = {name: p.detach().clone() for name, p in self.parameters.items()}
            held = self.state()
            super().update()
            for group in self.adamw.param_groups:
                for p in group["params"]:
                    name = next(n for n, other in self.parameters.items() if other is p)
                    self._redo(p, before[name], held, name, group)

        def _redo(self, p: Any, w: Tensor, held: Any, name: str, group: Any) -> None:
            rates = {"lr": group["lr"], "eps": group["eps"], "weight_decay": group["weight_decay"]}
            rates |= dict(zip(("beta1", "beta2"), group["betas"], strict=True))
            moved, m, v = adamw_step(w, p.grad, held["m"][name], held["v"][name], step=held["step"] + 1, **rates)
            with torch.no_grad():
                p.copy_(moved)
            self.adamw.state[p] |= {"exp_avg": m, "exp_avg_sq": v}

    return replace(baseline, adamw_step=adamw_step, optimizer=Wrong)


def _moved(w: Tensor, mean: Tensor, root: Tensor, rates: dict[str, Any]) -> Tensor:
    return w - rates["lr"] * rates["weight_decay"] * w - rates["lr"] * mean / root


def _loading(baseline: Any, change: Any) -> Any:
    """An optimizer that makes something else of the state it loads."""

    class Wrong(baseline.optimizer):
        def load_state(self, state: Any) -> None:
            super().load_state(change(state, self.state()))

    return Wrong
