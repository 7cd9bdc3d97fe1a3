"""What a decoder computes, as frozen data: the reference executes it, and stages, tensors and flips follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.reference.model.gated_delta_net_config import GatedDeltaNetConfig


@dataclass(frozen=True)
class Norm:
    """A normalisation of rows. Units: eps is added to the mean square (rms) or to the variance (layer)."""

    eps: float
    plus_one: bool = False
    """The file stores the gain minus 1."""
    kind: Literal["rms", "layer"] = "rms"
    """`layer` subtracts the mean and adds a bias."""
    gain: bool = True


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first `dim` numbers of a head. Units: theta is the base of the wavelengths."""

    theta: float
    dim: int
    interleaved: bool = False
    """Pairs are neighbours; otherwise number i and i + dim/2 are a pair."""
    scaling: tuple[tuple[str, object], ...] = ()
    """Hugging Face's `rope_parameters` as sorted pairs, without theta; empty for plain RoPE."""
    longest: int = 0
    """`max_position_embeddings`, on which dynamic scaling and the default factors of yarn and longrope depend."""

    def __post_init__(self) -> None:
        """Raises: ValueError unless pairs can be made."""
        if self.dim < 2 or self.dim % 2:
            raise ValueError(f"config: found {self.dim} rotated numbers of a head, expected an even number (RoPE)")


@dataclass(frozen=True)
class Latent:
    """Low-rank queries, keys and values (multi-head latent attention); all heads share the rotated part of a key."""

    query_rank: int | None
    rank: int
    plain: int
    """Numbers of a head's key that are not rotated; they stand before the rotated ones."""
    rotated: int
    norm: Norm


@dataclass(frozen=True)
class Attention:
    """Softmax attention over all earlier positions, the last `window` of them, or the chunk that a position is in."""

    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int
    scale: float
    """Multiplies the scores."""
    rope: Rope | None
    window: int | None = None
    """Positions that are seen, the own included."""
    chunk: int | None = None
    softcap: float | None = None
    sinks: bool = False
    """A learned logit per head stands beside the scores in the softmax, and gives its share to nothing."""
    gated: bool = False
    """`q` holds a gate beside each head's query; its sigmoid multiplies attention's output."""
    biases: frozenset[str] = frozenset()
    """Which of q, k, v, o (and q_down, kv_down of a latent) have a bias."""
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    value_norm: Norm | None = None
    norm_over: Literal["head", "width"] = "head"
    """A query norm covers each head, or all heads of a position together."""
    norm_after_rope: bool = False
    temperature: tuple[float, int] | None = None
    """(beta, original context): queries at position p are multiplied by 1 + beta ln(1 + floor(p / context))."""
    key_factor: float = 1.0
    value_of_key: bool = False
    """There is no projection of values: they are the keys before their norm."""
    latent: Latent | None = None


@dataclass(frozen=True)
class Mamba2:
    """A selective state space layer with a scalar decay per head (arXiv:2405.21060)."""

    heads: int
    head_dim: int
    groups: int
    """Sets of B and C; head h reads set h // (heads / groups)."""
    state: int
    taps: int
    conv_bias: bool = True
    in_bias: bool = False
    out_bias: bool = False
    norm: Norm | None = None
    """None if a row is only gated."""
    norm_groups: int = 0
    """Parts of a row that are normalised apart; 0 stands for `groups`."""
    norm_before_gate: bool = False
    act: str = "silu"
    steps: tuple[float, float] = (0.0, float("inf"))
    """The smallest and the largest step."""
    factors: tuple[float, ...] = (1.0,) * 5
    """Of the gate, x, B, C and step of the input projection."""

    @property
    def inner(self) -> int:
        """Channels of all heads."""
        return self.heads * self.head_dim

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of the gate, x, B, C and step in the input projection."""
        return (self.inner, self.inner, self.groups * self.state, self.groups * self.state, self.heads)


Mixer = Attention | GatedDeltaNetConfig | Mamba2


@dataclass(frozen=True)
class FeedForward:
    """down(act(gate(x)) * up(x)), or down(act(up(x))) if it is not gated."""

    width: int
    act: str = "silu"
    gated: bool = True
    bias: bool = False
    clamp: tuple[float, float] | None = None
    """(alpha, limit): gate <= limit, |up| <= limit, (up + 1) gate sigmoid(alpha gate), as gpt-oss."""
    multipliers: tuple[float, float] = (1.0, 1.0)
    """Factors of the gate before its activation, and of the result."""


@dataclass(frozen=True)
class Experts:
    """A mixture: each token goes to its `chosen` experts, weighted by the router."""

    count: int
    chosen: int
    expert: FeedForward
    score: Literal["softmax", "softmax_of_chosen", "sigmoid"] = "softmax"
    """`softmax_of_chosen` normalises the chosen experts' logits alone."""
    renormalise: bool = False
    """The chosen weights are divided by their sum."""
    floor: float = 0.0
    """Added to that sum."""
    correction: Literal["", "choice", "weights"] = ""
    """A bias takes part in the choice alone, or in the weights too; empty if there is none."""
    groups: int = 1
    chosen_groups: int = 1
    scale: float = 1.0
    router_bias: bool = False
    shared: FeedForward | None = None
    latent: int | None = None
    """Width between two projections around the experts; the router reads the row itself."""
    latent_bias: bool = False
    shared_gate: bool = False
    """The shared expert's output is multiplied by the sigmoid of a row's product with one vector."""

    def __post_init__(self) -> None:
        """Raises: ValueError if the numbers do not go together."""
        if self.groups < 1 or self.count % self.groups or not 0 < self.chosen_groups <= self.groups:
            raise ValueError(
                f"config: found {self.chosen_groups} of {self.groups} groups chosen among {self.count} experts, "
                "expected groups of one size"
            )
        reachable = self.count // self.groups * self.chosen_groups
        if not 0 < self.chosen <= reachable:
            raise ValueError(f"config: found {self.chosen} experts per token, expected 1 to {reachable}")


Feed = FeedForward | Experts


@dataclass(frozen=True)
class Block:
    """Mixers and feed-forward, each with norms before and after; several mixers read the same input and are added."""

    mixers: tuple[Mixer, ...]
    feed: Feed | None
    before_mixer: Norm | None = None
    after_mixer: Norm | None = None
    before_feed: Norm | None = None
    after_feed: Norm | None = None
    residual: float = 1.0
    """Factor of what is added to the residual stream."""
    mixer_factors: tuple[tuple[float, float], ...] = ()
    """Factors of each mixer's input and output; empty for ones."""
    scalar: bool = False
    """A stored number multiplies what the block gives."""
    parallel: bool = False
    """The feed-forward reads the block's input, and not what the mixer made of it."""


@dataclass(frozen=True)
class Decoder:
    """Embedding, blocks, norm, head."""

    vocab: int
    hidden: int
    blocks: tuple[Block, ...]
    final_norm: Norm
    tied: bool
    embed_factor: float = 1.0
    logit_factor: float = 1.0
    logit_softcap: float | None = None
