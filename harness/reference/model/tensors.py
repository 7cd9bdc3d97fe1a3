"""A declared decoder's tensors: each role with its shape, and where a file keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.reference.model import gated_delta_net_config
from harness.reference.model.declaration import Attention, Block, Decoder, Experts, FeedForward, Mamba2, Norm
from harness.reference.precision import wide

Shape = tuple[int, ...]
Roles = Iterator[tuple[str, Shape]]


def roles(decoder: Decoder) -> dict[str, Shape]:
    """Every tensor by its role, with its shape, in the order of computation; a matrix is (outputs, inputs)."""
    C, V = decoder.hidden, decoder.vocab
    found: dict[str, Shape] = {"embed.weight": (V, C)}
    for i, block in enumerate(decoder.blocks):
        found |= {f"layers.{i}.{role}": shape for role, shape in _block(block, C)}
    found |= dict(_norm("final_norm", decoder.final_norm, C))
    if not decoder.tied:
        found["head.weight"] = (V, C)
    return found


def _block(block: Block, C: int) -> Roles:
    yield from _norm("before_mixer", block.before_mixer, C)
    for mixer in block.mixers:
        if isinstance(mixer, Attention):
            yield from _attention(mixer, C)
        elif isinstance(mixer, Mamba2):
            yield from _mamba(mixer, C)
        else:
            for name, shape in gated_delta_net_config.weight_shapes(mixer).items():
                yield f"delta.{name}", shape
    yield from _norm("after_mixer", block.after_mixer, C)
    yield from _norm("before_feed", block.before_feed, C)
    if isinstance(block.feed, FeedForward):
        yield from _feed("", block.feed, C)
    elif isinstance(block.feed, Experts):
        yield from _experts(block.feed, C)
    yield from _norm("after_feed", block.after_feed, C)
    if block.scalar:
        yield "scalar", (1,)


def _norm(role: str, norm: Norm | None, width: int) -> Roles:
    if norm is not None and norm.gain:
        yield f"{role}.weight", (width,)
        if norm.kind == "layer":
            yield f"{role}.bias", (width,)


def _linear(role: str, outputs: int, inputs: int, bias: bool) -> Roles:
    yield f"{role}.weight", (outputs, inputs)
    if bias:
        yield f"{role}.bias", (outputs,)


def _attention(a: Attention, C: int) -> Roles:
    H, KV, D, low = a.heads, a.kv_heads, a.head_dim, a.latent
    source = C
    if low is not None and low.query_rank is not None:
        source = low.query_rank
        yield from _linear("q_down", source, C, "q_down" in a.biases)
        yield from _norm("q_down_norm", low.norm, source)
    yield from _linear("q", (2 if a.gated else 1) * H * D, source, "q" in a.biases)
    if low is None:
        yield from _linear("k", KV * D, C, "k" in a.biases)
        if not a.value_of_key:
            yield from _linear("v", KV * a.value_dim, C, "v" in a.biases)
    else:
        yield from _linear("kv_down", low.rank + low.rotated, C, "kv_down" in a.biases)
        yield from _norm("kv_norm", low.norm, low.rank)
        yield from _linear("kv_up", H * (low.plain + a.value_dim), low.rank, False)
    yield from _norm("q_norm", a.query_norm, D if a.norm_over == "head" else H * D)
    yield from _norm("k_norm", a.key_norm, D if a.norm_over == "head" else KV * D)
    if a.sinks:
        yield "sinks", (H,)
    yield from _linear("o", C, H * a.value_dim, "o" in a.biases)


def _mamba(m: Mamba2, C: int) -> Roles:
    mixed = sum(m.sizes[1:4])
    yield from _linear("mamba.in", sum(m.sizes), C, m.in_bias)
    yield "mamba.conv.weight", (mixed, 1, m.taps)
    if m.conv_bias:
        yield "mamba.conv.bias", (mixed,)
    for name in ("dt_bias", "A_log", "D"):
        yield f"mamba.{name}", (m.heads,)
    yield from _norm("mamba.norm", m.norm, m.inner)
    yield from _linear("mamba.out", C, m.inner, m.out_bias)


def _feed(prefix: str, f: FeedForward, C: int) -> Roles:
    for role in ("gate", "up") if f.gated else ("up",):
        yield from _linear(f"{prefix}{role}", f.width, C, f.bias)
    yield from _linear(f"{prefix}down", C, f.width, f.bias)


def _experts(e: Experts, C: int) -> Roles:
    yield from _linear("router", e.count, C, e.router_bias)
    if e.correction:
        yield "router.correction", (e.count,)
    if e.latent is not None:
        yield from _linear("latent_in", e.latent, C, e.latent_bias)
        yield from _linear("latent_out", C, e.latent, e.latent_bias)
    for role, shape in _feed("experts.", e.expert, e.latent or C):
        yield role, (e.count, *shape)
    if e.shared is not None:
        yield from _feed("shared.", e.shared, C)
    if e.shared_gate:
        yield "shared_gate.weight", (1, C)


@dataclass(frozen=True)
class Part:
    """Where a file keeps a tensor: which entries of which stored tensor.

    Units: with `{e}` in the name, one tensor per expert. `rows` are taken of the last axis but one (of the last for a
           vector); `turned` says that a matrix is stored as (inputs, outputs).
    """

    name: str
    shape: Shape
    """Of the stored tensor."""
    rows: range | tuple[int, ...] | None = None
    turned: bool = False
    each: int = 0
    """Number of experts if each has a tensor of its own; 0 if one tensor holds all of them, or there are none."""
    vector: bool = False
    """The rows are of a vector for each expert, or of one alone."""

    def names(self) -> list[str]:
        """The stored tensors that are read."""
        return [self.name.replace("{e}", str(e)) for e in range(self.each)] if self.each else [self.name]

    def read(self, tensors: Mapping[str, np.ndarray], expert: int | None = None) -> np.ndarray:
        """The tensor in float64 in its role's shape, or one expert's part of it."""
        if expert is None:
            return wide(self._picked(tensors[self.name]))
        stored = tensors[self.name.replace("{e}", str(expert))]
        return wide(self._picked(stored if self.each else stored[expert]))

    def _picked(self, stored: np.ndarray) -> np.ndarray:
        if self.turned:
            stored = np.swapaxes(stored, -1, -2)
        if self.rows is None:
            return stored
        rows: Any = slice(*_ends(self.rows)) if isinstance(self.rows, range) else list(self.rows)
        return stored[..., rows] if self.vector else stored[..., rows, :]


def _ends(rows: range) -> tuple[int, int, int]:
    return rows.start, rows.stop, rows.step


@dataclass(frozen=True)
class Stored:
    """A declared decoder and the layout of its file."""

    decoder: Decoder
    parts: Mapping[str, Part]
    """Role -> where it is."""
    kind: str
    """The family's `model_type`."""
    keys: tuple[str, ...] = ()
    """The keys of the config that the family reads."""

    def shapes(self) -> dict[str, Shape]:
        """Every stored tensor by name, with its shape, in the order of computation."""
        return {name: part.shape for part in self.parts.values() for name in part.names()}

    def check(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Raises: ValueError naming the first tensor that is missing, left over or of another shape."""
        self.fits({name: np.shape(tensor) for name, tensor in tensors.items()})

    def fits(self, shapes: Mapping[str, Shape]) -> None:
        """Raises: ValueError as `check`, from the shapes alone."""
        expected = self.shapes()
        for name, shape in expected.items():
            if name not in shapes:
                raise ValueError(f"weights: {name} not found, expected shape {shape}")
            if shapes[name] != shape:
                raise ValueError(f"weights: {name} has shape {shapes[name]}, expected {shape}")
        for name in shapes:
            if name not in expected:
                raise ValueError(
                    f"weights: found {name} {shapes[name]}, which this config does not have; "
                    f"expected exactly the tensors that the keys of a {self.kind} config imply"
                )


@dataclass(frozen=True)
class Reader:
    """A decoder's tensors by role, each widened to float64 when it is asked for."""

    stored: Stored
    tensors: Mapping[str, np.ndarray]
    prefix: str = ""

    def __call__(self, role: str, expert: int | None = None) -> np.ndarray:
        return self.stored.parts[self.prefix + role].read(self.tensors, expert)

    def has(self, role: str) -> bool:
        """Whether the decoder has a tensor in this role."""
        return self.prefix + role in self.stored.parts

    def layer(self, i: int) -> Reader:
        """The tensors of one block."""
        return replace(self, prefix=f"layers.{i}.")

    def linear(self, role: str, x: np.ndarray, expert: int | None = None) -> np.ndarray:
        """x W^T, plus the bias if there is one. Shapes: x (..., inputs) -> (..., outputs)."""
        out = x @ self(f"{role}.weight", expert).T
        return out + self(f"{role}.bias", expert) if self.has(f"{role}.bias") else out
