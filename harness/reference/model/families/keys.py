"""A config's keys, each read once and by name: what no family reads is refused, and never ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.reference.model.declaration import Rope

WITHOUT_EFFECT = frozenset(
    re.findall(
        r"\w+",
        """
        architectures dtype torch_dtype transformers_version auto_map _name_or_path name_or_path tokenizer_class
        bos_token_id eos_token_id pad_token_id sep_token_id decoder_start_token_id forced_bos_token_id
        forced_eos_token_id use_cache initializer_range initializer_factor keys_to_ignore_at_inference
        attn_implementation _attn_implementation experts_implementation cache_implementation return_dict
        output_hidden_states output_attentions torchscript chunk_size_feed_forward is_encoder_decoder is_decoder
        id2label label2id problem_type attention_dropout hidden_dropout resid_pdrop embd_pdrop residual_dropout
        embedding_dropout attn_dropout hidden_dropout_prob output_router_logits router_aux_loss_coef aux_loss_alpha
        seq_aux router_jitter_noise use_mamba_kernels rescale_prenorm_residual time_step_min time_step_max
        time_step_floor mtp_num_hidden_layers num_nextn_predict_layers pretraining_tp
        """,
    )
)
"""Keys that training, generation or storage reads, and no forward pass."""
ABSENT = object()
SCALINGS: dict[str, frozenset[str]] = {
    "default": frozenset(),
    "linear": frozenset({"factor"}),
    "dynamic": frozenset({"factor"}),
    "llama3": frozenset({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}),
    "yarn": frozenset(
        {"factor", "attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate"}
        | {"original_max_position_embeddings"}
    ),
    "longrope": frozenset(
        {"factor", "attention_factor", "short_factor", "long_factor", "original_max_position_embeddings"}
    ),
    "proportional": frozenset({"factor"}),
}
"""Kind of scaling -> its keys beside rope_theta and partial_rotary_factor."""


class Keys:
    """Reads a config. Raises: ValueError with the key, what was found and what was expected."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.read: list[str] = ["model_type"]
        self.idle: list[str] = []

    def get(self, key: str, default: Any = ABSENT) -> Any:
        """The value; a key that is null or absent has the default."""
        if key not in self.read:
            self.read.append(key)
        found = self.config.get(key)
        if found is None and default is ABSENT:
            raise ValueError(f"config: found no {key}, expected one")
        return default if found is None else found

    def without_effect(self, *keys: str) -> None:
        """Keys that this family's class in transformers does not read, though others do."""
        self.idle += keys

    def count(self, key: str, default: Any = ABSENT) -> int:
        found = self.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise ValueError(f"config: found {key} {found!r}, expected a positive integer")
        return found

    def positive(self, key: str, default: Any = ABSENT) -> float:
        return positive(key, self.get(key, default))

    def flag(self, key: str, default: bool = False) -> bool:
        found = self.get(key, default)
        if not isinstance(found, bool):
            raise ValueError(f"config: found {key} {found!r}, expected true or false")
        return found

    def one_of(self, key: str, known: Sequence[Any], default: Any = ABSENT) -> Any:
        found = self.get(key, default)
        if found not in known:
            raise ValueError(f"config: found {key} {found!r}, expected {' or '.join(map(repr, known))}")
        return found

    def only(self, key: str, known: Any, default: Any = ABSENT) -> None:
        """Require one value of a key that this reference does not vary."""
        found = self.get(key, known if default is ABSENT else default)
        if found != known:
            raise ValueError(f"config: found {key} {found!r}, this decoder supports only {known!r}")

    def layer_types(self, layers: int, known: Sequence[str], default: Sequence[str] | None = None) -> tuple[str, ...]:
        """`layer_types`, one for each layer."""
        found = self.get("layer_types", default if default is not None else ABSENT)
        if not isinstance(found, (list, tuple)) or len(found) != layers or set(found) - set(known):
            raise ValueError(
                f"config: found layer_types {found!r}, expected one of {', '.join(known)} for each of {layers}"
            )
        return tuple(found)

    def heads(self) -> tuple[int, int, int, int]:
        """hidden_size, attention heads, key/value heads, head_dim."""
        hidden, heads = self.count("hidden_size"), self.count("num_attention_heads")
        if "num_key_value_heads" not in self.config:
            raise ValueError("config: found no num_key_value_heads, expected one; null stands for as many as heads")
        kv = self.count("num_key_value_heads", heads)
        if heads % kv:
            raise ValueError(f"config: found {heads} attention heads and {kv} key/value heads, expected a multiple")
        if self.get("head_dim", None) is None and hidden % heads:
            raise ValueError(f"config: found no head_dim, and hidden_size {hidden} is not a multiple of {heads} heads")
        width = self.count("head_dim", hidden // heads)
        if width % 2:
            raise ValueError(f"config: found head_dim {width}, expected an even number (RoPE rotates pairs)")
        return hidden, heads, kv, width

    def rope(self, width: int, kind: str | None = None, interleaved: bool = False) -> Rope | None:
        """RoPE of heads of `width` numbers; kind names the layer type if the parameters are kept apart for each."""
        parameters: Mapping[str, Any] = self._parameters()
        if kind is not None and kind in parameters:
            if parameters[kind] is None:
                return None
            # transformers looks for `truncate` beside the layer types, and so never finds it.
            parameters = {key: value for key, value in parameters[kind].items() if key != "truncate"}
        theta = self._theta(parameters)
        share = parameters.get("partial_rotary_factor", self.get("partial_rotary_factor", 1.0))
        scaling = self._scaling(parameters)
        found = dict(scaling)
        if found.get("rope_type") == "proportional":
            return Rope(theta, width, interleaved, (*scaling, ("partial_rotary_factor", share)))
        if share != 1 and not self.partial:
            raise ValueError(f"config: found partial_rotary_factor {share!r}, this family rotates whole heads")
        # transformers reads the longest context only where a kind of scaling depends on it.
        stretched = found.get("rope_type") == "dynamic" or (
            "original_max_position_embeddings" in found and "factor" not in found
        )
        longest = self.get("max_position_embeddings", 0 if not stretched else ABSENT)
        return Rope(theta, int(width * share), interleaved, scaling, longest if stretched else 0)

    def _parameters(self) -> Mapping[str, Any]:
        """`rope_parameters`, or `rope_scaling` of an older file, which transformers reads in its place."""
        older, newer = self.get("rope_scaling", {}), self.get("rope_parameters", {})
        if older and newer and older != newer:
            raise ValueError(
                f"config: found rope_scaling {older!r} beside rope_parameters {newer!r}, expected one of them"
            )
        found: Mapping[str, Any] = older or newer
        return found

    def _theta(self, parameters: Mapping[str, Any]) -> float:
        """transformers 5 keeps theta in rope_parameters, older files on top; raise if both are there and differ."""
        found = {
            f"{place}rope_theta": positive("rope_theta", keys["rope_theta"])
            for place, keys in (("rope_parameters.", parameters), ("", {"rope_theta": self.get("rope_theta", None)}))
            if keys.get("rope_theta") is not None
        }
        if len(set(found.values())) != 1:
            told = found or "no rope_theta"
            raise ValueError(f"config: found {told}, expected one value at rope_parameters.rope_theta")
        return next(iter(found.values()))

    def _scaling(self, parameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
        """The scaling's keys as sorted pairs. Raises: ValueError for an unknown kind, or a key it does not have."""
        outer = self.get("original_max_position_embeddings", None)
        kind = parameters.get("rope_type", parameters.get("type", "default"))
        if kind not in SCALINGS:
            raise ValueError(f"config: found rope_type {kind!r}, expected one of {', '.join(SCALINGS)}")
        known = SCALINGS[kind] | {"rope_theta", "rope_type", "type", "partial_rotary_factor", *self.beside_rope}
        for key in sorted(set(parameters) - known):
            if parameters[key] is not None and kind != "default":
                raise ValueError(f"config: found {key} in rope_parameters, which {kind} scaling does not have")
        if kind == "default":
            return ()
        found = {key: parameters[key] for key in SCALINGS[kind] if parameters.get(key) is not None}
        if "original_max_position_embeddings" in SCALINGS[kind]:
            context = outer or found.get("original_max_position_embeddings")
            found["original_max_position_embeddings"] = context or self.count("max_position_embeddings")
        frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
        return tuple(sorted({**frozen, "rope_type": kind}.items()))

    partial = False
    """Whether a family may rotate a part of each head; transformers' other classes ignore `partial_rotary_factor`."""
    beside_rope: frozenset[str] = frozenset()
    """Keys in rope_parameters that a family reads itself."""

    def done(self) -> tuple[str, ...]:
        """The keys that were read. Raises: ValueError for a key of the config that was not."""
        for key in self.config:
            known = key in self.read or key in self.idle or key in WITHOUT_EFFECT
            if not known and self.config[key] is not None:
                raise ValueError(
                    f"config: found {key} {self.config[key]!r}, which the family {self.config['model_type']} does not "
                    "read; expected only keys whose effect the reference has"
                )
        return tuple(self.read)


def positive(key: str, found: Any) -> float:
    """Raises: ValueError unless found is a positive finite number."""
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < float("inf"):
        raise ValueError(f"config: found {key} {found!r}, expected a positive finite number")
    return float(found)
