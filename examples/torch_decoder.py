"""A Llama or Qwen2 decoder in plain torch, as a candidate for people who port a model.

    harness run builtin:model -k DECODER-LOGITS --candidate examples/torch_decoder.py:build

`build` needs no argument, so Harness calls it and uses the returned object as the candidate. The object has `load`,
which returns a model with `logits`. The model may also have `stages`; a failure then names its layer and stage.
"""

import torch
from torch import nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu


def build():
    return Port()


class Port:
    """The candidate: `load` builds a model from a Hugging Face config and tensors with Hugging Face names."""

    ARRAYS = "torch"  # tensors on the run's device in the run's dtype, instead of NumPy arrays

    def load(self, config, weights, *, dtype, device):
        # Convert the model before loading: a float32 model would round float64 weights.
        model = Decoder(config).to(device, getattr(torch, dtype))
        model.load_state_dict(weights)  # strict: a missing or unexpected tensor is an error that names it
        return model.eval()


class Decoder(nn.Module):
    """Parameters have the names of the checkpoint's tensors, including the prefix `model.`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.model.norm = Norm(config)
        if not config.get("tie_word_embeddings"):
            self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    @torch.no_grad()
    def logits(self, tokens):
        """Shapes: tokens (B, T) -> (B, T, V)."""
        return self.run(tokens, lambda name, value: value)

    @torch.no_grad()
    def stages(self, tokens, replace=None):
        """Every stage's computed value by name. Later stages get the value in `replace`, if there is one."""
        seen = {}

        def see(name, value):
            seen[name] = value
            return (replace or {}).get(name, value)

        self.run(tokens, see)
        return seen

    def run(self, tokens, see):
        x = see("embed", self.model.embed_tokens(tokens))
        rotation = rotary(self.config, tokens.shape[1], x)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, rotation, lambda name, value, i=i: see(f"layers.{i}.{name}", value))
        x = see("final_norm", self.model.norm(x))
        tied = self.config.get("tie_word_embeddings")
        return see("logits", x @ self.model.embed_tokens.weight.T if tied else self.lm_head(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        C, F, D = config["hidden_size"], config["intermediate_size"], head_dim(config)
        H, KV = config["num_attention_heads"], config["num_key_value_heads"]
        llama = config["model_type"] == "llama"  # only Llama reads the bias keys: a Qwen2 has q, k and v biases
        qkv, out = (config["attention_bias"],) * 2 if llama else (True, False)
        mlp = llama and config["mlp_bias"]
        self.head_dim = D
        self.self_attn, self.mlp = nn.Module(), nn.Module()
        for name, heads in {"q": H, "k": KV, "v": KV}.items():
            setattr(self.self_attn, f"{name}_proj", nn.Linear(C, heads * D, bias=qkv))
        self.self_attn.o_proj = nn.Linear(H * D, C, bias=out)
        self.mlp.gate_proj = nn.Linear(C, F, bias=mlp)
        self.mlp.up_proj = nn.Linear(C, F, bias=mlp)
        self.mlp.down_proj = nn.Linear(F, C, bias=mlp)
        self.input_layernorm, self.post_attention_layernorm = Norm(config), Norm(config)

    def forward(self, x, rotation, see):
        attn, mlp = self.self_attn, self.mlp
        h = see("input_norm", self.input_layernorm(x))
        q, k, v = (see(f"{n}_proj", getattr(attn, f"{n}_proj")(h)) for n in "qkv")
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in (q, k, v))
        q, k = see("rope_q", rotate(q, rotation)), see("rope_k", rotate(k, rotation))
        out = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        out = see("attn", out.transpose(1, 2).flatten(2))
        x = see("attn_residual", x + see("o_proj", attn.o_proj(out)))
        h = see("post_norm", self.post_attention_layernorm(x))
        gate, up = see("gate_proj", mlp.gate_proj(h)), see("up_proj", mlp.up_proj(h))
        return see("mlp_residual", x + see("down_proj", mlp.down_proj(see("mlp_act", silu(gate) * up))))


class Norm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config["rms_norm_eps"]
        self.weight = nn.Parameter(torch.empty(config["hidden_size"]))

    def forward(self, x):
        return rms_norm(x, self.weight.shape, self.weight, self.eps)


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def rotary(config, length, x):
    """cos and sin (T, D), in float32 or float64, because bfloat16 rounds position 1,001 to 1,000."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    steps = torch.arange(0, head_dim(config), 2, dtype=wide, device=x.device) / head_dim(config)
    angles = (
        torch.arange(length, dtype=wide, device=x.device)[:, None] / config["rope_parameters"]["rope_theta"] ** steps
    )
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, rotation):
    cos, sin = rotation
    wide = x.to(cos.dtype)
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)
