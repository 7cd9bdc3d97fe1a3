"""Forward-mode derivatives of a decoder's loss by its weights, from the changed layer on; no backward pass is used.

A tangent is the first-order change of a stage when one tensor moves. The stages before the tensor do not
change; one forward pass computes them in advance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.reference.model.decoder import decoder_forward
from harness.reference.model.decoder_config import parse_config
from harness.reference.ops.activations import sigmoid_forward
from harness.reference.ops.rope import rope_forward
from harness.reference.precision import wide

Arrays = Mapping[str, np.ndarray]
EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"


class DecoderTangents:
    """Directional derivatives of the mean cross-entropy of one sequence, from one forward pass.

    Shapes: tokens, targets (T,), each token's successor, -100 where ignored.
    Raises: ValueError as `decoder_forward`, or if all targets are -100.
    """

    def __init__(self, config: Mapping[str, Any], weights: Arrays, tokens: np.ndarray, targets: np.ndarray) -> None:
        self.model = parse_config(config)
        self.weights = {name: wide(tensor) for name, tensor in weights.items()}
        self.tokens = np.asarray(tokens)
        logits, stages = decoder_forward(config, weights, self.tokens[None])
        self.stages = {name: value[0] for name, value in stages.items()}
        self.counted = np.flatnonzero(np.asarray(targets) != -100)
        if not self.counted.size:
            raise ValueError(f"targets: found {len(targets)} of them, all -100; expected at least one that counts")
        self.targets = np.asarray(targets)[self.counted]
        shifted = logits[0, self.counted]
        shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
        self.probabilities = shifted / shifted.sum(axis=-1, keepdims=True)
        positions = np.arange(self.tokens.size)
        self.turns = rope_forward(self.stages["layers.0.rope_q"][None], positions, theta=self.model.theta)[1]
        self.gates = [self._gate(i) for i in range(self.model.layers)]

    def slopes(self, tensor: str, moves: np.ndarray, adjoints: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """d loss / d t at w + t * move, for each move of one tensor.

        With `adjoints`, each slope is the product of the layer's tangent and its adjoint, so that a probe runs one
        layer and not all layers above it. Use `adjoints` only if their `adjoint_errors` are round-off.

        Shapes: moves (P, *shape of the tensor), adjoints as `adjoint_errors` -> (P,).
        Units:  nats per counted token and per unit of t.
        """
        first = _layer_of(tensor)
        dx = moves[:, self.tokens] if tensor == EMBEDDING else None
        shared = tensor == EMBEDDING and self.model.tied
        if adjoints is not None and first < self.model.layers and not shared:
            dx = dx if tensor == EMBEDDING else self._layer(first, dx, tensor, moves)
            assert dx is not None
            below = 0 if tensor == EMBEDDING else first + 1
            return np.asarray(np.einsum("tc,ptc->p", adjoints[below], dx))
        for i in range(first, self.model.layers):
            dx = self._layer(i, dx, tensor if i == first else "", moves)
        return self._loss(dx, tensor, moves)

    def adjoint_errors(self, adjoints: Sequence[np.ndarray], directions: int = 8, seed: int = 0) -> list[float]:
        """The error of each adjoint: its slopes along random directions against those of the next layer's adjoint.

        The last adjoint is compared with the loss itself, every other one with the adjoint one layer above it.
        Shapes: adjoints layers + 1 arrays (T, C): d loss by the embedded tokens, then by each layer's output.
        Units:  largest error over the root mean square slope, one number per adjoint.
        """
        rng, errors = np.random.default_rng(seed), []
        for i, adjoint in enumerate(adjoints):
            dx = rng.standard_normal((directions, *adjoint.shape))
            claimed = np.einsum("tc,ptc->p", adjoint, dx)
            if i < self.model.layers:
                above = self._layer(i, dx, "", dx)
                assert above is not None
                seen = np.einsum("tc,ptc->p", adjoints[i + 1], above)
            else:
                seen = self._loss(dx, "", dx)
            errors.append(float(np.max(np.abs(claimed - seen)) / np.sqrt(np.mean(np.square(seen)))))
        return errors

    def _loss(self, dx: np.ndarray | None, tensor: str, moves: np.ndarray) -> np.ndarray:
        """Final norm, head, and d loss = mean over counted tokens of (sum of p dz - dz[target])."""
        last = self.stages[f"layers.{self.model.layers - 1}.mlp_residual"]
        dout = _norm(last, dx, self.weights[NORM], moves if tensor == NORM else None, self.model.eps)
        head = EMBEDDING if self.model.tied else HEAD
        dlogits = _linear(
            self.stages["final_norm"][self.counted],
            None if dout is None else dout[:, self.counted],
            self.weights[head],
            moves if tensor == head else None,
        )
        assert dlogits is not None
        expected = np.einsum("tv,ptv->p", self.probabilities, dlogits)
        picked = dlogits[:, np.arange(self.counted.size), self.targets].sum(axis=1)
        return np.asarray((expected - picked) / self.counted.size)

    def _layer(self, i: int, dx: np.ndarray | None, tensor: str, moves: np.ndarray) -> np.ndarray | None:
        """dx (P, T, C) at the layer's input, None if nothing has changed yet -> dx at its output."""

        def at(name: str) -> np.ndarray:
            return self.stages[f"layers.{i}.{name}"]

        def moved(name: str) -> np.ndarray | None:
            return moves if tensor == f"model.layers.{i}.{name}" else None

        def linear(name: str, x: np.ndarray, dx: np.ndarray | None) -> np.ndarray | None:
            weight = self.weights[f"model.layers.{i}.{name}.weight"]
            return _linear(x, dx, weight, moved(f"{name}.weight"), moved(f"{name}.bias"))

        def norm(name: str, x: np.ndarray, dx: np.ndarray | None) -> np.ndarray | None:
            gain = self.weights[f"model.layers.{i}.{name}.weight"]
            return _norm(x, dx, gain, moved(f"{name}.weight"), self.model.eps)

        before = self.stages["embed"] if i == 0 else self.stages[f"layers.{i - 1}.mlp_residual"]
        h, dh = at("input_norm"), norm("input_layernorm", before, dx)
        dq, dk, dv = (linear(f"self_attn.{p}_proj", h, dh) for p in "qkv")
        dx = _sum(dx, linear("self_attn.o_proj", at("attn"), self._attention(i, dq, dk, dv)))

        h, dh = at("post_norm"), norm("post_attention_layernorm", at("attn_residual"), dx)
        dgate, dup = linear("mlp.gate_proj", h, dh), linear("mlp.up_proj", h, dh)
        by_gate, by_up = self.gates[i]
        dact = _sum(None if dgate is None else dgate * by_gate, None if dup is None else dup * by_up)
        return _sum(dx, linear("mlp.down_proj", at("mlp_act"), dact))

    def _attention(
        self, i: int, dq: np.ndarray | None, dk: np.ndarray | None, dv: np.ndarray | None
    ) -> np.ndarray | None:
        """dq (P, T, H*D), dk and dv (P, T, KV*D), before their rotation -> (P, T, H*D).

        dS = (dq k^T + q dk^T) / sqrt(D); dP = P (dS - sum of P dS); dout = dP v + P dv.
        """
        model = self.model
        q, k = self.stages[f"layers.{i}.rope_q"], self._grouped(self.stages[f"layers.{i}.rope_k"])
        v = self._grouped(_heads(self.stages[f"layers.{i}.v_proj"], model.head_dim))
        probs = self.stages[f"layers.{i}.probs"]
        dscores = _sum(
            None if dq is None else self._turned(dq) @ k.swapaxes(-1, -2),
            None if dk is None else q @ self._grouped(self._turned(dk)).swapaxes(-1, -2),
        )
        dout = None if dv is None else probs @ self._grouped(_heads(dv, model.head_dim))
        if dscores is not None:
            dscores *= 1 / math.sqrt(model.head_dim)
            dscores -= np.einsum("hts,phts->pht", probs, dscores)[..., None]
            dscores *= probs
            dout = _sum(dout, dscores @ v)
        return None if dout is None else dout.swapaxes(-3, -2).reshape(dout.shape[0], self.tokens.size, -1)

    def _gate(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """d(silu(g) u) = silu'(g) u dg + silu(g) du: the two factors, each (T, I)."""
        gate, up = self.stages[f"layers.{i}.gate_proj"], self.stages[f"layers.{i}.up_proj"]
        sigmoid, _ = sigmoid_forward(gate)
        return sigmoid * (1 + gate * (1 - sigmoid)) * up, gate * sigmoid

    def _turned(self, x: np.ndarray) -> np.ndarray:
        """(P, T, heads*D) -> rotated (P, heads, T, D): a rotation is linear, so it applies to the tangent too."""
        x = _heads(x, self.model.head_dim)
        cos, sin = self.turns
        half = cos.shape[-1]
        out = np.empty_like(x)
        out[..., :half] = x[..., :half] * cos - x[..., half:] * sin
        out[..., half:] = x[..., half:] * cos + x[..., :half] * sin
        return out

    def _grouped(self, x: np.ndarray) -> np.ndarray:
        """(..., KV, T, D) -> (..., H, T, D)."""
        return np.repeat(x, self.model.heads // self.model.kv_heads, axis=-3)


def _heads(x: np.ndarray, dim: int) -> np.ndarray:
    """(..., T, heads*D) -> (..., heads, T, D)."""
    return x.reshape(*x.shape[:-1], -1, dim).swapaxes(-3, -2)


def _linear(
    x: np.ndarray,
    dx: np.ndarray | None,
    weight: np.ndarray,
    dweight: np.ndarray | None = None,
    dbias: np.ndarray | None = None,
) -> np.ndarray | None:
    """dy = dx W^T + x dW^T + db. Shapes: x (T, I), dx (P, T, I), dweight (P, O, I), dbias (P, O) -> (P, T, O)."""
    out = None if dx is None else dx @ weight.T
    if dweight is not None:
        out = _sum(out, x @ dweight.swapaxes(-1, -2))
    if dbias is not None:
        out = _sum(out, np.broadcast_to(dbias[:, None], (len(dbias), len(x), dbias.shape[1])))
    return out


def _norm(
    x: np.ndarray, dx: np.ndarray | None, gain: np.ndarray, dgain: np.ndarray | None, eps: float
) -> np.ndarray | None:
    """With n = x / rms: dy = (dx - n mean(n dx)) / rms * g + n dg. Shapes: x (T, C), dx (P, T, C), dgain (P, C)."""
    inverse_rms = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    normalised = x * inverse_rms
    out = None
    if dx is not None:
        projection = np.einsum("tc,ptc->pt", normalised, dx)[..., None] / x.shape[-1]
        out = dx - normalised * projection
        out *= inverse_rms * gain
    return out if dgain is None else _sum(out, normalised * dgain[:, None])


def _sum(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return b if a is None else a if b is None else a + b


def _layer_of(tensor: str) -> int:
    """The first layer that a tensor affects; a number beyond all layers for the final norm and the head."""
    if tensor == EMBEDDING:
        return 0
    parts = tensor.split(".")
    return int(parts[2]) if parts[1] == "layers" else 1 << 30
