"""Names and shapes of the tensors that a Hugging Face config implies: Llama, Qwen2, Qwen3 and Qwen3.5 text models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.formats.errors import Malformed

KNOWN = ("llama", "qwen2", "qwen3", "qwen3_5_text")
LAYER_TYPES = ("full_attention", "linear_attention")
MOST_LAYERS = 4096
"""Twenty times the deepest model in use; more layers would fill the memory with names."""
Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(config: Mapping[str, Any]) -> Shapes:
    """Every tensor of the model, in the order of a forward pass, without a tied head.

    Raises: Malformed naming the key whose value is missing or of the wrong kind.
    Source: the modules of transformers' LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, Qwen3_5ForCausalLM.
    """
    kind = config.get("model_type")
    if kind not in KNOWN:
        raise Malformed(f"config: found model_type {kind!r}, expected one of {', '.join(KNOWN)}")
    hidden, vocab = whole(config, "hidden_size"), whole(config, "vocab_size")
    shapes: Shapes = {"model.embed_tokens.weight": (vocab, hidden)}
    for i, layer_type in enumerate(layer_types(config)):
        stem = f"model.layers.{i}."
        mixer = _delta_net(config) if layer_type == "linear_attention" else _attention(config)
        shapes[f"{stem}input_layernorm.weight"] = (hidden,)
        shapes |= {stem + name: shape for name, shape in mixer}
        shapes[f"{stem}post_attention_layernorm.weight"] = (hidden,)
        shapes |= {stem + name: shape for name, shape in _mlp(config)}
    shapes["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (vocab, hidden)
    return shapes


def linear_layers(config: Mapping[str, Any]) -> Shapes:
    """The layers that may have an adapter: full name without `.weight` -> (out, in)."""
    shapes = tensor_shapes(config)
    return {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if len(shape) == 2 and name.startswith("model.layers.")
    }


def layer_types(config: Mapping[str, Any]) -> list[str]:
    """`full_attention` or `linear_attention` for every layer. Raises: Malformed if a layer has none."""
    layers = whole(config, "num_hidden_layers")
    if layers > MOST_LAYERS:
        raise Malformed(f"config: found num_hidden_layers {layers}, expected at most {MOST_LAYERS}")
    if config.get("model_type") != "qwen3_5_text":
        return ["full_attention"] * layers
    types = config.get("layer_types")
    if not isinstance(types, list) or len(types) != layers or not all(kind in LAYER_TYPES for kind in types):
        raise Malformed(
            f"config: found layer_types {str(types)[:60]}, expected {layers} of 'full_attention' and 'linear_attention'"
        )
    return types


def head_dim(config: Mapping[str, Any]) -> int:
    """Width of an attention head: `head_dim`, else hidden_size / num_attention_heads."""
    if config.get("head_dim") is not None:
        return whole(config, "head_dim")
    return whole(config, "hidden_size") // whole(config, "num_attention_heads")


def with_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copy `rope_parameters`' keys to the config's top level, where older configs have them. Raises: Malformed."""
    found = config.get("rope_parameters") or {}
    if not isinstance(found, dict):
        raise Malformed(f"config: found rope_parameters {str(found)[:40]!r}, expected an object")
    return {**config, **found}


def whole(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A positive whole number below 2**31; `default` if the key is absent. Raises: Malformed naming the key."""
    found = config.get(key)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 1 << 31:
        raise Malformed(f"config: found {key} {str(found)[:40]!s}, expected a positive whole number")
    return found


def _attention(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    kind, hidden, width = config["model_type"], whole(config, "hidden_size"), head_dim(config)
    queries = whole(config, "num_attention_heads") * width
    keys = whole(config, "num_key_value_heads") * width if config.get("num_key_value_heads") else queries
    gated = 2 if kind == "qwen3_5_text" else 1  # q_proj also yields an output gate for each query
    biased = kind == "qwen2" or bool(config.get("attention_bias"))
    for name, rows, columns in (
        ("q_proj", gated * queries, hidden),
        ("k_proj", keys, hidden),
        ("v_proj", keys, hidden),
        ("o_proj", hidden, queries),
    ):
        yield f"self_attn.{name}.weight", (rows, columns)
        if biased and not (kind == "qwen2" and name == "o_proj"):
            yield f"self_attn.{name}.bias", (rows,)
    if kind.startswith("qwen3"):
        yield "self_attn.q_norm.weight", (width,)
        yield "self_attn.k_norm.weight", (width,)


def _delta_net(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, heads = whole(config, "hidden_size"), whole(config, "linear_num_value_heads")
    keys = whole(config, "linear_num_key_heads") * whole(config, "linear_key_head_dim")
    width = whole(config, "linear_value_head_dim")
    channels, values = 2 * keys + heads * width, heads * width
    for name, shape in (
        ("dt_bias", (heads,)),
        ("A_log", (heads,)),
        ("conv1d.weight", (channels, 1, whole(config, "linear_conv_kernel_dim"))),
        ("norm.weight", (width,)),
        ("out_proj.weight", (hidden, values)),
        ("in_proj_qkv.weight", (channels, hidden)),
        ("in_proj_z.weight", (values, hidden)),
        ("in_proj_b.weight", (heads, hidden)),
        ("in_proj_a.weight", (heads, hidden)),
    ):
        yield f"linear_attn.{name}", shape


def _mlp(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inner = whole(config, "hidden_size"), whole(config, "intermediate_size")
    biased = config["model_type"] == "llama" and config.get("mlp_bias")
    for name, rows, columns in (("gate_proj", inner, hidden), ("up_proj", inner, hidden), ("down_proj", hidden, inner)):
        yield f"mlp.{name}.weight", (rows, columns)
        if biased:
            yield f"mlp.{name}.bias", (rows,)
