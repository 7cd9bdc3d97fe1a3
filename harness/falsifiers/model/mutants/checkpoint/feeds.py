"""Feed-forward layers, experts and state space layers declared wrongly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.falsifiers.model.mutants.checkpoint.flip import feeds, flipped, having, mambas, mixtures, moved, without
from harness.mutant import mutant
from harness.reference.model.declaration import Decoder, Experts, FeedForward
from harness.reference.model.tensors import Part, Stored

OTHER_GELU = {"gelu": "gelu_tanh", "gelu_tanh": "gelu", "gelu_pytorch_tanh": "gelu"}


@mutant
def gelu_in_its_other_form(baseline: Any) -> Any:
    """The tanh form stands for the exact GELU, or the reverse (E1: kyutai-labs/pocket-tts#278)."""
    return flipped(baseline, feeds(lambda f: replace(f, act=OTHER_GELU.get(f.act, f.act))))


@mutant
def activation_of_the_library(baseline: Any) -> Any:
    """SiLU in place of the model's activation, or GELU in place of SiLU. Synthetic: the key has two names."""

    def other(f: FeedForward) -> FeedForward:
        return f if f.clamp else replace(f, act="gelu" if f.act in ("silu", "swish") else "silu")

    return flipped(baseline, feeds(other))


@mutant
def gate_and_up_swapped(baseline: Any) -> Any:
    """The halves of a fused projection are taken in the other order. Synthetic: both orders are in use."""

    def change(stored: Stored) -> Stored:
        def other(role: str, _: Stored) -> Part:
            for name, swapped in (("gate.", "up."), ("up.", "gate.")):
                place = role.rfind(name)
                if place >= 0 and role[: place - 1].rpartition(".")[2] not in ("shared_gate",):
                    return stored.parts.get(role[:place] + swapped + role[place + len(name) :], stored.parts[role])
            return stored.parts[role]

        return moved(other)(stored)

    return flipped(baseline, change)


@mutant
def feed_biases_dropped(baseline: Any) -> Any:
    """The biases of gate, up and down projections are lost, experts' included. Synthetic: most models have none."""
    return flipped(baseline, without("gate.bias", "up.bias", "down.bias"))


@mutant
def gate_not_clamped(baseline: Any) -> Any:
    """The limit of gate and up projection is left out. Synthetic: small activations do not show it."""
    return flipped(baseline, feeds(lambda f: replace(f, clamp=(f.clamp[0], 1e9)) if f.clamp else f))


@mutant
def gate_without_alpha(baseline: Any) -> Any:
    """The factor inside the gate's sigmoid is 1. Synthetic: SwiGLU kernels have none."""
    return flipped(baseline, feeds(lambda f: replace(f, clamp=(1.0, f.clamp[1])) if f.clamp else f))


@mutant
def feed_factors_dropped(baseline: Any) -> Any:
    """Factors of the gate and of the result are left out. Synthetic: one family alone has them."""
    return flipped(baseline, feeds(lambda f: replace(f, multipliers=(1.0, 1.0))))


@mutant
def weights_not_renormalised(baseline: Any) -> Any:
    """The chosen weights keep their sum, or are divided by it where they keep it (X2: pytorch/torchtitan#1419)."""
    return flipped(
        baseline,
        mixtures(lambda e: e if e.score == "softmax_of_chosen" else replace(e, renormalise=not e.renormalise)),
    )


@mutant
def softmax_over_the_chosen(baseline: Any) -> Any:
    """Softmax over the chosen logits where the config says over all (X4: lablup/mlxcel#391)."""
    return flipped(
        baseline,
        mixtures(lambda e: replace(e, score="softmax_of_chosen") if e.score == "softmax" and not e.renormalise else e),
    )


@mutant
def softmax_over_all(baseline: Any) -> Any:
    """Softmax over all logits where the config says over the chosen ones. Synthetic: the reverse of X4."""
    return flipped(baseline, mixtures(lambda e: replace(e, score="softmax") if e.score == "softmax_of_chosen" else e))


@mutant
def softmax_for_sigmoid(baseline: Any) -> Any:
    """Scores are a softmax where the model has sigmoids. Synthetic: older mixtures have a softmax."""
    return flipped(baseline, mixtures(lambda e: replace(e, score="softmax") if e.score == "sigmoid" else e))


@mutant
def one_expert_less(baseline: Any) -> Any:
    """One expert fewer is chosen. Synthetic: the key that says how many has several names."""
    return flipped(baseline, mixtures(lambda e: replace(e, chosen=e.chosen - 1) if e.chosen > 1 else e))


@mutant
def correction_ignored(baseline: Any) -> Any:
    """The correction takes no part in the choice (X3: sgl-project/sglang#37133)."""
    return flipped(baseline, mixtures(lambda e: replace(e, correction="")))


@mutant
def correction_in_the_weights(baseline: Any) -> Any:
    """The correction is in the weights too (X3: sgl-project/sglang#37133)."""
    return flipped(baseline, mixtures(lambda e: replace(e, correction="weights") if e.correction else e))


@mutant
def groups_ignored(baseline: Any) -> Any:
    """Experts of all groups may be chosen. Synthetic: one group is the default."""

    def one_group(e: Experts) -> Experts:
        return replace(e, groups=1, chosen_groups=1) if e.chosen_groups < e.groups else e

    return flipped(baseline, mixtures(one_group))


@mutant
def routed_scale_dropped(baseline: Any) -> Any:
    """The factor of the routed experts is left out. Synthetic: its default is 1."""
    return flipped(baseline, mixtures(lambda e: replace(e, scale=1.0)))


@mutant
def router_bias_dropped(baseline: Any) -> Any:
    """The router's bias is lost. Synthetic: most routers have none."""
    return flipped(baseline, without("router.bias"))


@mutant
def shared_expert_left_out(baseline: Any) -> Any:
    """The shared expert is not added. Synthetic: most mixtures have none."""
    return flipped(baseline, mixtures(lambda e: replace(e, shared=None)))


@mutant
def shared_expert_not_gated(baseline: Any) -> Any:
    """The shared expert is added whole. Synthetic: DeepSeek's has no gate."""
    return flipped(baseline, mixtures(lambda e: replace(e, shared_gate=False)))


@mutant
def experts_shifted(baseline: Any) -> Any:
    """Expert e has the weights of the one before it. Synthetic: ids are local on every rank."""

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        return np.roll(tensor, 1, axis=0) if role == "router.weight" else tensor

    has = having("mixture", lambda s: any(isinstance(b.feed, Experts) for b in s.decoder.blocks))
    return flipped(baseline, has, change)


@mutant
def one_group_for_the_gated_norm(baseline: Any) -> Any:
    """The gated norm covers the whole width (N10: state-spaces/mamba#910)."""
    return flipped(baseline, mambas(lambda m: replace(m, norm_groups=1) if m.norm and m.groups > 1 else m))


@mutant
def gate_on_the_other_side_of_the_norm(baseline: Any) -> Any:
    """y is gated behind its norm where it is gated before, or the reverse. Synthetic: a flag with two defaults."""
    return flipped(baseline, mambas(lambda m: replace(m, norm_before_gate=not m.norm_before_gate) if m.norm else m))


@mutant
def steps_not_limited(baseline: Any) -> Any:
    """The steps' limits are left out. Synthetic: their default limits nothing."""
    return flipped(baseline, mambas(lambda m: replace(m, steps=(0.0, float("inf")))))


@mutant
def state_factors_dropped(baseline: Any) -> Any:
    """Factors of the parts of the input projection are left out. Synthetic: one family alone has them."""
    return flipped(baseline, mambas(lambda m: replace(m, factors=(1.0,) * 5)))


@mutant
def skip_of_the_state_dropped(baseline: Any) -> Any:
    """y lacks D x. Synthetic: it is one vector beside the scan."""

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        return np.zeros_like(tensor) if role == "mamba.D" else tensor

    has = having("state space layer", lambda s: any(role.endswith("mamba.D") for role in s.parts))
    return flipped(baseline, has, change)


@mutant
def convolution_bias_dropped(baseline: Any) -> Any:
    """The short convolution's bias is lost. Synthetic: a flag with two defaults."""
    return flipped(baseline, mambas(lambda m: replace(m, conv_bias=False)))


@mutant
def decay_of_a_delta_net_dropped(baseline: Any) -> Any:
    """The delta net's step has no bias. Synthetic: dt_bias is one small vector of many."""

    def change(role: str, tensor: np.ndarray, decoder: Decoder) -> np.ndarray:
        return np.zeros_like(tensor) if role == "delta.dt_bias" else tensor

    has = having("delta net", lambda s: any(role.endswith("delta.dt_bias") for role in s.parts))
    return flipped(baseline, has, change)
