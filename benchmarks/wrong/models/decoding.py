"""Small decoders for the wrong versions: how one is loaded with a change, and what is asked of it."""

from collections.abc import Callable
from types import SimpleNamespace

import torch

import harness.candidates.torch as eager
from harness.candidates.torch.model._shapes import shapes_of
from harness.candidates.torch.model.decoder import Decoder
from wrong.version import normal


def changed_by(change: Callable[[Decoder], None], before=lambda config, weights, dtype: weights):
    """A subject whose loaded decoders are changed by `change`, their weights by `before`."""

    def load(config, weights, *, lora=None, dtype, device):
        model = eager.load(config, before(config, weights, dtype), lora=lora, dtype=dtype, device=device)
        if isinstance(model, Decoder):
            change(model)
        return model

    return SimpleNamespace(ARRAYS="torch", load=load)


def unchanged(model):
    """Change nothing."""


def small(layers=2, model_type="qwen2", **changed):
    """A small decoder's config in Hugging Face keys."""
    config = {"model_type": model_type, "num_hidden_layers": layers, "hidden_size": 32, "intermediate_size": 40}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 50}
    config |= {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "hidden_act": "silu"}
    return config | changed


def weights_of(config, r):
    """Random weights: norms about 1, matrices that keep the size of what they multiply."""
    found = {}
    for name, shape in shapes_of(config).items():
        drawn = torch.from_numpy(normal(r, *shape))
        found[name] = 1 + 0.2 * drawn if "norm" in name else drawn * (shape[-1] ** -0.5 if len(shape) > 1 else 0.3)
    return found


def tokens(r, config, batch=2, length=12):
    return torch.from_numpy(r.integers(0, config["vocab_size"], (batch, length)))


def loaded(f, r, dtype="float32", **changed):
    config = small(**changed)
    return config, f.load(config, weights_of(config, r), dtype=dtype, device="cpu")


def logits_of(batch=2, length=12, dtype="float32", **changed):
    def call(f, r):
        config, model = loaded(f, r, dtype, **changed)
        return model.logits(tokens(r, config, batch, length))

    return call


def prefilled(f, r):
    config, model = loaded(f, r)
    return model.prefill(tokens(r, config, 3, 9), torch.tensor([4, 9, 6]))[0][:, -1]


def decoded(steps, prompt=6):
    def call(f, r):
        config, model = loaded(f, r)
        logits, cache = model.prefill(tokens(r, config, 2, prompt))
        seen = [logits[:, -1]]
        for _ in range(steps):
            logits, cache = model.decode(tokens(r, config, 2, 1), cache)
            seen.append(logits[:, -1])
        return seen

    return call


def conventional(f, r):
    """The conventional problem: logits of a prompt of 32 tokens, and 4 decoded tokens, of a decoder of two layers."""
    return logits_of(length=32)(f, r), decoded(4, 32)(f, r)
