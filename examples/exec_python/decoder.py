"""The logits of a Llama or Qwen2 decoder; the config has Hugging Face keys, the weights Hugging Face names."""

import numpy as np


def logits(config, weights, tokens):
    """Shapes: tokens (B, T) -> (B, T, V)."""
    eps, heads = config["rms_norm_eps"], config["num_attention_heads"]
    x = weights["model.embed_tokens.weight"][tokens]
    angles = rotary_angles(config, tokens.shape[1], x.dtype)
    for layer in range(config["num_hidden_layers"]):
        own = Layer(weights, f"model.layers.{layer}.")
        h = norm(x, own["input_layernorm.weight"], eps)
        q, k, v = (split(own.linear(f"self_attn.{name}_proj", h), config) for name in "qkv")
        q, k = rotate(q, angles), rotate(k, angles)
        x = x + own.linear("self_attn.o_proj", attend(q, k, v, heads))
        h = norm(x, own["post_attention_layernorm.weight"], eps)
        gate, up = own.linear("mlp.gate_proj", h), own.linear("mlp.up_proj", h)
        x = x + own.linear("mlp.down_proj", gate / (1 + np.exp(-gate)) * up)
    head = "model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"
    return norm(x, weights["model.norm.weight"], eps) @ weights[head].T


class Layer:
    """One layer's tensors, without their prefix."""

    def __init__(self, weights, prefix):
        self.tensors = {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}

    def __getitem__(self, name):
        return self.tensors[name]

    def linear(self, name, x):
        return x @ self[f"{name}.weight"].T + self.tensors.get(f"{name}.bias", 0)


def norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def split(x, config):
    """(B, T, H * D) -> (B, H, T, D)."""
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return x.reshape(*x.shape[:2], -1, width).swapaxes(1, 2)


def rotary_angles(config, length, dtype):
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    rope = config.get("rope_parameters") or config
    inverse = rope["rope_theta"] ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    angles = np.arange(length)[:, None] * inverse  # float64: float32 is too coarse beyond position 1,000
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)


def rotate(x, angles):
    cos, sin = angles
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


def attend(q, k, v, heads):
    """Causal attention; query head h reads key/value head h // (H / KV). -> (B, T, H * D)."""
    k, v = (np.repeat(each, heads // each.shape[1], axis=1) for each in (k, v))
    length, width = q.shape[2:]
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(np.asarray(width, q.dtype))
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out = (e / e.sum(axis=-1, keepdims=True)) @ v
    return out.swapaxes(1, 2).reshape(len(q), length, heads * width)
