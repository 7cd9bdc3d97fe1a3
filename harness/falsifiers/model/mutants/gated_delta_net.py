"""Known-wrong gated-delta-net layers: gates, roles, order, state, and who sees it (systems B1 and B2; K3 to K5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from harness.falsifiers.model.mutants.gdn_layer import Parts, layer
from harness.mutant import Inapplicable, mutant, replace


@mutant
def decay_grows(baseline: Any) -> Any:
    """exp(+g): the sign of the decay (system B1; K4: fla-org/flash-linear-attention#623)."""
    return _with(baseline, log_decay=lambda a, bias, A_log: A_log.exp() * softplus(a + bias))


@mutant
def A_log_taken_for_A(baseline: Any) -> Any:
    """A_log is used without exp (system B1)."""
    return _with(baseline, log_decay=lambda a, bias, A_log: -A_log.abs() * softplus(a + bias))


@mutant
def dt_bias_dropped(baseline: Any) -> Any:
    """dt_bias never reaches the gate (system B1; D3)."""
    return _with(baseline, log_decay=lambda a, bias, A_log: -A_log.exp() * softplus(a))


@mutant
def keys_and_values_swapped(baseline: Any) -> Any:
    """The value is read and the key is written (K4: fla-org/flash-linear-attention#623)."""

    def swapped(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if k.shape[-1] != v.shape[-1]:
            raise Inapplicable("keys and values of two widths cannot be mistaken for each other")
        return q, v, k

    return _with(baseline, order=swapped)


@mutant
def queries_and_keys_swapped(baseline: Any) -> Any:
    """in_proj_qkv is read as k, q, v (system B1)."""
    return _with(baseline, order=lambda q, k, v: (k, q, v))


@mutant
def error_before_decay(baseline: Any) -> Any:
    """The state predicts the value before it decays (system B1; K4: order moves the output by 5.5e-2)."""
    return _with(baseline, error=lambda state, decayed: state)


@mutant
def gates_per_key_head(baseline: Any) -> Any:
    """Decay gates are indexed by key head: right on symmetric models, garbage late on others (system B1)."""

    def first_of_group(gates: Tensor, per_key: int) -> Tensor:
        if per_key == 1:
            raise Inapplicable("as many value heads as key heads")
        return gates[..., ::per_key].repeat_interleave(per_key, dim=-1)

    return _with(baseline, per_head=first_of_group)


@mutant
def heads_tiled(baseline: Any) -> Any:
    """Key heads are repeated as 0, 1, 0, 1 where 0, 0, 1, 1 is meant (system B1)."""

    def tiled(x: Tensor, per_key: int) -> Tensor:
        if per_key == 1 or x.shape[2] == 1:
            raise Inapplicable("one key head, or one value head each: one order")
        return x.repeat(1, 1, per_key, 1)

    return _with(baseline, heads=tiled)


@mutant
def beta_is_one(baseline: Any) -> Any:
    """The rate of writing is left at 1 (system B1)."""
    return _with(baseline, rate=torch.ones_like)


@mutant
def silu_missing(baseline: Any) -> Any:
    """The convolution's output goes on without its activation (system B1)."""
    return _with(baseline, activation=lambda x: x)


@mutant
def gate_by_sigmoid(baseline: Any) -> Any:
    """The output gate is sigmoid(z), as in attention, for silu(z) (system B1)."""
    return _with(baseline, gate=torch.sigmoid)


@mutant
def gated_before_the_norm(baseline: Any) -> Any:
    """rmsnorm(out silu(z)), as Mamba 2 has it, for rmsnorm(out) silu(z) (system B1)."""
    return _with(baseline, norm_first=False)


@mutant
def lengths_left(baseline: Any) -> Any:
    """q and k are not normalised (system B1)."""
    return _with(baseline, length=lambda x: x)


@mutant
def scale_missing(baseline: Any) -> Any:
    """q is not divided by sqrt(Dk): the norm behind it hides all but eps of that (system B1)."""
    return _with(baseline, scale=lambda width: 1.0)


@mutant
def history_ignored(baseline: Any) -> Any:
    """The convolution begins from zeros in every call (system B2)."""
    return _with(baseline, history=torch.zeros_like)


@mutant
def history_one_too_old(baseline: Any) -> Any:
    """What is kept of the convolution's inputs ends one token early (system B2)."""
    return _with(baseline, kept=lambda whole, taps: whole[..., whole.shape[-1] - taps : -1])


@mutant
def state_reset_at_a_chunk(baseline: Any) -> Any:
    """Every 64 steps the state begins anew (system B2)."""
    return _with(baseline, between=lambda state, t: torch.zeros_like(state) if t and t % 64 == 0 else state)


@mutant
def state_reset_each_call(baseline: Any) -> Any:
    """The state handed in is not used (system B2)."""
    return _with(baseline, between=lambda state, t: state if t else torch.zeros_like(state))


@mutant
def pads_update_the_state(baseline: Any) -> Any:
    """Tokens that fill up the last chunk decay the state (K3: huggingface/transformers#46873)."""

    def decayed(state: Tensor, length: int, idle: Tensor) -> Tensor:
        return state * (idle * (-length % 64)).exp()[:, None, None]

    return _with(baseline, final=decayed)


@mutant
def state_in_bfloat16(baseline: Any) -> Any:
    """The state is rounded to bfloat16 after every step: the error grows with the sequence (system B2)."""
    return _with(baseline, between=lambda state, t: state.bfloat16().to(state.dtype))


@mutant
def state_leaks_a_little(baseline: Any) -> Any:
    """A state scaled by 1 + 1e-5 every step, as a decay computed in too few digits does (system B2)."""
    return _with(baseline, between=lambda state, t: state * (1 + 1e-5))


@mutant
def state_ends_at_32768(baseline: Any) -> Any:
    """The state begins anew at token 32,768. Synthetic: a token count in int16 is negative there, and a negative count
    means a new request."""
    return _cut(baseline, "state")


@mutant
def history_ends_at_32768(baseline: Any) -> Any:
    """The convolution begins from zeros at token 32,768. Synthetic: its inputs are kept in a ring of 32,768 slots."""
    return _cut(baseline, "conv_state")


@mutant
def left_sorted_by_length(baseline: Any) -> Any:
    """A padded batch is sorted by length, longest first, and its answers stay in that order
    (neulab/xnmt#424, mead-ml/mead-baseline#677)."""

    def gated_delta_net(x: Tensor, weights: Any, config: Any, *, real: Tensor, dtype: str, device: str) -> Any:
        order = real.sum(1).argsort(descending=True, stable=True)
        return baseline.gated_delta_net(x[order], weights, config, real=real[order], dtype=dtype, device=device)

    return replace(baseline, gated_delta_net=gated_delta_net)


@mutant
def padding_not_masked(baseline: Any) -> Any:
    """What stands in the padding of a shorter row is taken for tokens (system B2)."""
    right = layer(Parts())

    def gated_delta_net(
        x: Tensor, weights: Any, config: Any, *, real: Any = None, dtype: str, device: str, **given: Any
    ) -> Any:
        return right(x, weights, config, dtype=dtype, device=device, **given)

    return replace(baseline, gated_delta_net=gated_delta_net)


@mutant
def state_of_the_last_request(baseline: Any) -> Any:
    """A slot's state is used again without zeroing (K5: vllm-project/vllm#56524)."""
    return _tenant(baseline, "state")


@mutant
def history_of_the_last_request(baseline: Any) -> Any:
    """A slot's convolution inputs are used again without zeroing (K5: vllm-project/vllm#56524)."""
    return _tenant(baseline, "conv_state")


def _cut(baseline: Any, which: str, at: int = 32768) -> Any:
    def gated_delta_net(x: Tensor, weights: Any, config: Any, *, dtype: str, device: str, **given: Any) -> Any:
        given |= {"dtype": dtype, "device": device}
        if x.shape[1] <= at:
            return baseline.gated_delta_net(x, weights, config, **given)
        first, state, conv_state = baseline.gated_delta_net(x[:, :at], weights, config, **given)
        kept = {"state": state, "conv_state": conv_state}
        kept[which] = torch.zeros_like(kept[which])
        late, state, conv_state = baseline.gated_delta_net(x[:, at:], weights, config, **{**given, **kept})
        return torch.cat([first, late], dim=1), state, conv_state

    return replace(baseline, gated_delta_net=gated_delta_net)


def _tenant(baseline: Any, which: str) -> Any:
    right, kept = layer(Parts()), dict[str, Tensor]()

    def gated_delta_net(x: Tensor, weights: Any, config: Any, *, dtype: str, device: str, **given: Any) -> Any:
        if given.get(which) is None and which in kept and kept[which].shape[0] == x.shape[0]:
            given[which] = kept[which]
        out, state, conv_state = right(x, weights, config, dtype=dtype, device=device, **given)
        kept.update(state=state.clone(), conv_state=conv_state.clone())
        return out, state, conv_state

    return replace(baseline, gated_delta_net=gated_delta_net)


def _with(baseline: Any, **parts: Any) -> Any:
    return replace(baseline, gated_delta_net=layer(Parts(**parts)))
