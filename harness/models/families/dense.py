"""Dense decoders without windows, or with one window for all layers."""

from __future__ import annotations

from harness.models.families import rope
from harness.models.families.family import CONTEXT, Family, layers, sized

_MAX = {"max_position_embeddings": CONTEXT}
_LONG = "the text is longer than the original length"

LLAMA = Family(
    "LlamaForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5},
        plain={"head_dim": 20, "rope_parameters": rope.default()},
        llama3={
            "head_dim": 20,
            "num_key_value_heads": 3,
            "rope_parameters": rope.llama3(),
            "attention_bias": True,
            "tie_word_embeddings": True,
        },
        yarn={"rope_parameters": rope.yarn(attention_factor=1.3), "mlp_bias": True, "hidden_act": "gelu"},
        linear={"head_dim": 10, "rope_parameters": rope.linear(), "num_key_value_heads": 6},
        dynamic={"head_dim": 10, "rope_parameters": rope.dynamic(), "max_position_embeddings": 16},
        longrope={"head_dim": 12, "rope_parameters": rope.longrope(6, factor=4.0), "num_key_value_heads": 1},
    ),
    {f"{name}:max_position_embeddings": CONTEXT for name in ("plain", "llama3", "yarn", "linear", "longrope")}
    | {"longrope:rope_parameters.short_factor": _LONG},
)
MISTRAL = Family(
    "MistralForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5, "rope_parameters": rope.default()},
        window={"head_dim": 20, "sliding_window": 5},
        full={"head_dim": 14, "sliding_window": None, "rope_parameters": rope.yarn(mscale=1.5, mscale_all_dim=0.5)},
        tied={
            "head_dim": None,
            "sliding_window": 8,
            "num_key_value_heads": 3,
            "tie_word_embeddings": True,
            "max_position_embeddings": 16,
            "rope_parameters": rope.dynamic(),
        },
    ),
    {f"{name}:max_position_embeddings": CONTEXT for name in ("window", "full")},
)
_LLAMA4 = {"llama_4_scaling_beta": 0.4, "original_max_position_embeddings": 8}
MINISTRAL3 = Family(
    "Ministral3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5, "head_dim": 20},
        yarn={"rope_parameters": rope.yarn(mscale=1.5, mscale_all_dim=0.5, **_LLAMA4), "sliding_window": None},
        window={"rope_parameters": rope.default(**_LLAMA4), "sliding_window": 8, "num_key_value_heads": 3},
        tied={
            "head_dim": 10,
            "rope_parameters": rope.llama3(**_LLAMA4),
            "sliding_window": 5,
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
)
QWEN2 = Family(
    "Qwen2ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-6},
        plain={"rope_parameters": rope.default()},
        window={
            "num_hidden_layers": 3,
            "num_key_value_heads": 3,
            "use_sliding_window": True,
            "sliding_window": 5,
            "max_window_layers": 2,
            "rope_parameters": rope.linear(),
        },
        tied={
            "num_hidden_layers": 3,
            "head_dim": 20,
            "use_sliding_window": True,
            "sliding_window": 8,
            "layer_types": layers("sfs"),
            "rope_parameters": rope.yarn(attention_factor=1.2),
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
)
QWEN3 = Family(
    "Qwen3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-6},
        plain={"head_dim": 20, "rope_parameters": rope.default()},
        window={
            "head_dim": 10,
            "num_hidden_layers": 3,
            "attention_bias": True,
            "use_sliding_window": True,
            "sliding_window": 5,
            "max_window_layers": 1,
            "rope_parameters": rope.yarn(),
        },
        tied={
            "head_dim": 20,
            "num_key_value_heads": 3,
            "use_sliding_window": True,
            "sliding_window": 8,
            "layer_types": layers("fs"),
            "rope_parameters": rope.llama3(),
            "tie_word_embeddings": True,
        },
    ),
    _MAX,
)
GRANITE = Family(
    "GraniteForCausalLM",
    sized(
        {
            "rms_norm_eps": 1e-5,
            "embedding_multiplier": 3.0,
            "attention_multiplier": 0.3,
            "residual_multiplier": 0.6,
            "logits_scaling": 5.0,
        },
        plain={"rope_parameters": rope.default()},
        biased={
            "attention_bias": True,
            "mlp_bias": True,
            "head_dim": 20,
            "num_key_value_heads": 3,
            "rope_parameters": rope.linear(),
        },
        tied={"tie_word_embeddings": True, "rope_parameters": rope.yarn(), "hidden_act": "gelu_pytorch_tanh"},
    ),
    _MAX,
)
SMOLLM3 = Family(
    "SmolLM3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-6, "num_hidden_layers": 3},
        plain={"no_rope_layer_interval": 2, "rope_parameters": rope.default(), "tie_word_embeddings": True},
        window={
            "no_rope_layers": [1, 0, 1],
            "use_sliding_window": True,
            "sliding_window": 5,
            "num_key_value_heads": 3,
            "rope_parameters": rope.yarn(),
        },
        biased={
            "head_dim": 20,
            "attention_bias": True,
            "mlp_bias": True,
            "no_rope_layers": [0, 1, 1],
            "layer_types": layers("fsf"),
            "use_sliding_window": True,
            "sliding_window": 8,
            "rope_parameters": rope.linear(),
        },
    ),
    _MAX | {"biased:use_sliding_window": "layer_types and sliding_window alone build the mask"},
)
STARCODER2 = Family(
    "Starcoder2ForCausalLM",
    sized(
        {"norm_epsilon": 1e-5},
        plain={"rope_parameters": rope.default(), "use_bias": True, "tie_word_embeddings": True},
        window={"rope_parameters": rope.linear(), "use_bias": False, "sliding_window": 5, "hidden_act": "gelu"},
        yarn={"rope_parameters": rope.yarn(), "use_bias": True, "num_key_value_heads": 3, "head_dim": 20},
    ),
    _MAX,
)
PHI3 = Family(
    "Phi3ForCausalLM",
    sized(
        {"rms_norm_eps": 1e-5},
        plain={"rope_parameters": rope.default(partial_rotary_factor=0.5)},
        long={
            "original_max_position_embeddings": 16,
            "rope_parameters": rope.longrope(4, None, partial_rotary_factor=1.0),
            "num_key_value_heads": 3,
        },
        short={
            "original_max_position_embeddings": 48,
            "max_position_embeddings": 192,
            "rope_parameters": rope.longrope(2, None, partial_rotary_factor=0.5, attention_factor=1.2),
            "tie_word_embeddings": True,
            "sliding_window": 5,
        },
    ),
    {
        "plain:max_position_embeddings": CONTEXT,
        "short:max_position_embeddings": "attention_factor is given",
        "short:original_max_position_embeddings": "attention_factor is given and the text stays shorter",
        "short:rope_parameters.long_factor": "the text is shorter than the original length",
        "long:rope_parameters.short_factor": _LONG,
    },
)
