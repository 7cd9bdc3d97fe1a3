"""The decoder's hand-written backward against torch.autograd through a float64 transformers, tensor by tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from harness.falsifiers.baselines.transformers import gradients as transformers_gradients
from harness.reference.model.decoder_backward import loss_and_grads
from harness.reference.random_weights import random_weights
from tests.support.model.small_decoder import BASE

LLAMA = BASE | {"model_type": "llama"}
CONFIGS = {
    "qwen2": (BASE, 33),
    "qwen2 tied, own head_dim": (BASE | {"tie_word_embeddings": True, "head_dim": 12}, 17),
    "qwen2 past position 1,000": (BASE | {"hidden_size": 16, "vocab_size": 31, "num_hidden_layers": 1}, 1100),
    "llama without biases": (LLAMA | {"rope_theta": 1e4, "head_dim": 10, "num_hidden_layers": 3}, 21),
    "llama with every bias": (LLAMA | {"attention_bias": True, "mlp_bias": True}, 17),
    "llama tied, all heads": (LLAMA | {"tie_word_embeddings": True, "num_key_value_heads": 4}, 5),
    "one key/value head, eps 1e-5": (BASE | {"num_key_value_heads": 1, "rms_norm_eps": 1e-5}, 9),
    "one token": (BASE, 1),
}


def model_of(config: dict[str, Any], length: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Weights, tokens (2, length) and targets, a third of which does not count."""
    rng = np.random.default_rng(length)
    tokens, targets = rng.integers(0, config["vocab_size"], (2, 2, length))
    targets = np.where(rng.random(targets.shape) < 0.3, -100, targets)
    targets[:, 0] = tokens[:, 0]
    return random_weights(config, seed=length), tokens, targets


def autograd(
    config: dict[str, Any], weights: dict[str, np.ndarray], tokens: np.ndarray, targets: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    model = transformers_gradients.load(config, tensors, dtype="float64", device="cpu")
    loss, gradients = model.loss_and_grads(torch.from_numpy(tokens), torch.from_numpy(targets))
    return loss, {name: gradient.numpy() for name, gradient in gradients.items()}


def differences(got: dict[str, np.ndarray], want: dict[str, np.ndarray]) -> dict[str, float]:
    """Per tensor ||got - want|| / max(||want||, 1e-3 ||want of the whole model||)."""
    whole = np.sqrt(sum(float(np.sum(g * g)) for g in want.values()))
    return {n: float(np.linalg.norm(got[n] - g) / max(np.linalg.norm(g), 1e-3 * whole)) for n, g in want.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_gradient_equals_autograd_in_float64(name: str) -> None:
    config, length = CONFIGS[name]
    given = model_of(config, length)
    loss, got = loss_and_grads(config, *given)
    want_loss, want = autograd(config, *given)
    assert list(got) == list(want) == list(given[0])
    assert abs(loss - want_loss) <= 1e-13 * want_loss
    for tensor, difference in differences(got, want).items():
        assert got[tensor].shape == given[0][tensor].shape
        assert difference <= 1e-10, tensor
    unmoved = [tensor for tensor, gradient in want.items() if np.linalg.norm(gradient) < 1e-12]
    # With one key the softmax is 1 whatever the query is; everywhere else RoPE lets every tensor count.
    assert all(".q_proj." in tensor or ".k_proj." in tensor for tensor in unmoved)
    assert bool(unmoved) == (length == 1)
