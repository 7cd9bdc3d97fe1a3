"""A declared decoder's forward pass in float64, stage by stage, from the beginning or after earlier tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reference.model.attention import Places, attention
from harness.reference.model.declaration import Attention, Block, Experts, Mamba2, Mixer, Norm
from harness.reference.model.families import declare
from harness.reference.model.feed_forward import experts, feed_forward
from harness.reference.model.gated_delta_net import gated_delta_net_forward
from harness.reference.model.mamba2 import mamba2_forward
from harness.reference.model.norms import apply_norm
from harness.reference.model.tensors import Reader, Stored
from harness.reference.precision import wide

Weights = Mapping[str, np.ndarray]
Stage = Callable[[str, np.ndarray], np.ndarray]
Kept = tuple[np.ndarray, np.ndarray] | None
"""An attention's keys and values (B, KV, S, D), or a recurrent layer's state and the last inputs of its convolution."""


@dataclass(frozen=True)
class Cache:
    """What earlier tokens leave behind, for each mixer of each block; no function changes one.

    Shapes: real (B, S), False on padding.
    """

    blocks: tuple[tuple[Kept, ...], ...]
    real: np.ndarray


def stage_names(config: Mapping[str, Any]) -> list[str]:
    """Every stage of the forward pass, in the order of computation.

    Shapes: embed, final_norm (B, T, C); logits (B, T, V); and in each layer, as far as the decoder has them,
            input_norm, o_proj, delta_net, mamba, mixer_norm, attn_residual, post_norm, experts, shared_expert,
            down_proj, feed_norm, mlp_residual, scaled (B, T, C);
            q_proj, attn, gate, attn_gated (B, T, H*D); k_proj, v_proj (B, T, KV*D);
            q_norm, k_norm as they are normalised, (B, T, heads, D) or (B, T, heads*D);
            rope_q (B, H, T, D), rope_k (B, KV, T, D), rotated;
            scores (B, H, T, T), query by key, scaled and capped, and 0 where the key is not
            visible (so that no stage holds -inf); probs (B, H, T, T), softmax over the visible keys;
            gate_proj, up_proj (B, T, F) before the activation; mlp_act = act(gate) * up (B, T, F);
            router, router_weights (B, T, experts); latent_in (B, T, width of the experts' rows);
            temperature (B, H, T, D), queries that grow with their position;
            q_down, q_down_norm, kv_down, kv_norm, kv_up of a latent attention, (B, T, rows of the projection).
    Raises: ValueError if the config does not describe a supported decoder.
    """
    stored, names = declare(config), list[str]()
    nothing = {name: np.broadcast_to(np.float64(0), shape) for name, shape in stored.shapes().items()}

    def note(name: str, value: np.ndarray) -> np.ndarray:
        names.append(name)
        return value

    extend(Reader(stored, nothing), np.zeros((1, 1), int), np.ones((1, 1), bool), None, note)
    return names


def decoder_forward(
    config: Mapping[str, Any],
    weights: Weights,
    tokens: np.ndarray,
    *,
    replace: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Logits of the next token at positions 0 .. T-1, and every stage's value.

    The returned dict keeps each stage's computed value; later stages read its replacement instead,
    if there is one. With every stage replaced, each stage is computed from the given inputs alone.

    Shapes: tokens (B, T) integers -> logits (B, T, V), stages as in `stage_names`.
    Raises: ValueError if the config, a tensor, a token id or a replacement does not fit.
    Source: the family's class in transformers, named where the family is declared.
    """
    stored = checked(config, weights, tokens)
    unknown = sorted(set(replace) - set(stage_names(config))) if replace else []
    if unknown:
        raise ValueError(f"replace: found stage {unknown[0]!r}, expected names from stage_names(config)")
    stages: dict[str, np.ndarray] = {}

    def stage(name: str, value: np.ndarray) -> np.ndarray:
        stages[name] = value
        if replace is None or name not in replace:
            return value
        if np.shape(replace[name]) != value.shape:
            raise ValueError(f"replace: {name} has shape {np.shape(replace[name])}, expected {value.shape}")
        return wide(replace[name])

    extend(Reader(stored, weights), tokens, np.ones(tokens.shape, bool), None, stage)
    return stages["logits"], stages


def decoder_logits(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> np.ndarray:
    """The logits of `decoder_forward` without keeping the stages (two (B, H, T, T) arrays per layer).

    Shapes: tokens (B, T) -> logits (B, T, V).
    Raises: ValueError as `decoder_forward`.
    """
    return logits_of(Reader(checked(config, weights, tokens), weights), tokens)


def logits_of(read: Reader, tokens: np.ndarray) -> np.ndarray:
    """The logits of a declaration, as a family has it or changed. Shapes: tokens (B, T) -> (B, T, V)."""
    return extend(read, tokens, np.ones(tokens.shape, bool))[0]


def checked(config: Mapping[str, Any], weights: Weights, tokens: np.ndarray) -> Stored:
    """The declaration of a config. Raises: ValueError if a tensor or a token id does not fit it."""
    stored = declare(config)
    stored.check(weights)
    if np.ndim(tokens) != 2 or np.size(tokens) == 0 or np.asarray(tokens).dtype.kind not in "iu":
        raise ValueError(f"tokens: found {np.asarray(tokens).dtype} {np.shape(tokens)}, expected integers (B, T)")
    low, high = int(np.min(tokens)), int(np.max(tokens))
    if low < 0 or high >= stored.decoder.vocab:
        raise ValueError(f"tokens: found ids from {low} to {high}, expected 0 to {stored.decoder.vocab - 1}")
    return stored


def silent(_: str, value: np.ndarray) -> np.ndarray:
    """A stage that nobody looks at."""
    return value


def extend(
    read: Reader,
    tokens: np.ndarray,
    new: np.ndarray,
    cache: Cache | None = None,
    stage: Stage = silent,
    *,
    blind: bool = False,
) -> tuple[np.ndarray, Cache]:
    """Run new tokens (B, n), of which `new` (B, n) are real, after those of the cache: logits, and the longer cache.

    Units:  blind leaves out attention's scores, so that the time of a single block grows with T, not with its square.
    """
    model = read.stored.decoder
    real = new if cache is None else np.concatenate([cache.real, new], axis=1)
    places, kept = Places(real, tokens.shape[1]), list[tuple[Kept, ...]]()
    x = stage("embed", read("embed.weight")[tokens] * model.embed_factor)
    for i, block in enumerate(model.blocks):

        def at(name: str, value: np.ndarray, i: int = i) -> np.ndarray:
            return stage(f"layers.{i}.{name}", value)

        before = (None,) * len(block.mixers) if cache is None else cache.blocks[i]
        x, left = _block(block, read.layer(i), x, places, before, at, blind)
        kept.append(left)
    x = stage("final_norm", apply_norm(model.final_norm, read, "final_norm", x))
    logits = read.linear("embed" if model.tied else "head", x) * model.logit_factor
    if model.logit_softcap is not None:
        logits = model.logit_softcap * np.tanh(logits / model.logit_softcap)
    return stage("logits", logits), Cache(tuple(kept), real)


def _block(
    block: Block, read: Reader, x: np.ndarray, places: Places, kept: tuple[Kept, ...], at: Stage, blind: bool
) -> tuple[np.ndarray, tuple[Kept, ...]]:
    """x (B, n, C) -> (B, n, C): mixers, then feed-forward; each reads what its norm gives, and is added to x."""

    h = _normed(block.before_mixer, read, "before_mixer", at, "input_norm", x)
    factors = block.mixer_factors or ((1.0, 1.0),) * len(block.mixers)
    mixed, left = np.zeros(1), list[Kept]()
    for mixer, (into, out), old in zip(block.mixers, factors, kept, strict=True):
        own, new = _mix(mixer, read, h * into, places, old, at, blind)
        mixed = mixed + own * out
        left.append(new)
    added = x
    if block.mixers:
        mixed = _normed(block.after_mixer, read, "after_mixer", at, "mixer_norm", mixed)
        added = at("attn_residual", x + mixed * block.residual)
    if block.feed is not None:
        added = _fed(block, read, x if block.parallel else added, added, at)
    return at("scaled", added * read("scalar")) if block.scalar else added, tuple(left)


def _fed(block: Block, read: Reader, x: np.ndarray, added: np.ndarray, at: Stage) -> np.ndarray:
    """The feed-forward of x, added to the residual stream."""
    h = _normed(block.before_feed, read, "before_feed", at, "post_norm", x)
    assert block.feed is not None
    fed = experts(block.feed, read, h, at) if isinstance(block.feed, Experts) else feed_forward(block.feed, read, h, at)
    fed = _normed(block.after_feed, read, "after_feed", at, "feed_norm", fed)
    return at("mlp_residual", added + fed * block.residual)


def _normed(norm: Norm | None, read: Reader, role: str, at: Stage, name: str, x: np.ndarray) -> np.ndarray:
    return x if norm is None else at(name, apply_norm(norm, read, role, x))


def _mix(
    mixer: Mixer, read: Reader, h: np.ndarray, places: Places, kept: Kept, at: Stage, blind: bool
) -> tuple[np.ndarray, Kept]:
    if isinstance(mixer, Attention):
        return attention(mixer, read, h, places, kept, at, blind=blind)
    if isinstance(mixer, Mamba2):
        out, kept = mamba2_forward(mixer, read, h, places.real[:, -places.new :], kept)
        return at("mamba", out), kept
    names = [role.removeprefix(read.prefix) for role in read.stored.parts if role.startswith(f"{read.prefix}delta.")]
    layer = {name.removeprefix("delta."): read(name) for name in names}
    state, conv_state = kept if kept is not None else (None, None)
    new = places.real[:, -places.new :]
    out, state, conv_state, _ = gated_delta_net_forward(
        h, layer, mixer, state=state, conv_state=conv_state, real=None if new.all() else new
    )
    return at("delta_net", out), (state, conv_state)
