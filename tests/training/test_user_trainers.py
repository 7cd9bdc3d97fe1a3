"""A user's trainer or encoder-decoder with one mistake is FALSIFIED, and the tensor is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.laboratory import judged_alone, shipped

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
LAYER, UP = "decoder.layers.0.", "model.layers.1.mlp.up_proj.weight"

ENDPOINT = """
from harness.candidates import torch as right
ARRAYS = "torch"

def endpoint_grads(config, weights, tokens, targets, *, dtype, device):
    loss, g = right.endpoint_grads(config, weights, tokens, targets, dtype=dtype, device=device)
    {mistake}
    return loss, g
"""
ENDPOINT_MISTAKES = {
    "none": ("pass", None),
    "sum for mean": (f"g['{HEAD}'] *= tokens.numel()", HEAD),
    "divided by the gain": (f"g['{NORM}'] /= weights['{NORM}']", NORM),
    "the bypass turned": (f"g['{EMBEDDING}'].neg_()", EMBEDDING),
    "a row left out": (f"g['{EMBEDDING}'][int(tokens[0, 0])] = 0", EMBEDDING),
}
ENTRIES = """
from harness.candidates import torch as right
ARRAYS = "torch"

class Wrong:
    def __init__(self, model):
        self.model, self.weights = model, model.weights

    def loss_and_grads(self, tokens, targets):
        loss, g = self.model.loss_and_grads(tokens, targets)
        {mistake}
        return loss, g

def load_seq2seq(config, weights, *, dtype, device):
    return Wrong(right.load_seq2seq(config, weights, dtype=dtype, device=device))
"""
ENTRY_MISTAKES = {
    "none": ("pass", None),
    "swapped": (
        f"a, b = '{LAYER}self_attn.v_proj.weight', '{LAYER}self_attn.out_proj.weight'; g[a], g[b] = g[b], g[a]",
        f"{LAYER}self_attn.",  # both tensors are wrong, and which of them is farther off depends on the case
    ),
    "one bias short": (f"g['{LAYER}fc1.bias'] *= 0.99", f"{LAYER}fc1.bias"),
    "assigned": ("g['decoder.embed_tokens.weight'][int(tokens[0, 0])] *= 2", "decoder.embed_tokens.weight"),
    "norm without its mean": (f"g['{LAYER}final_layer_norm.weight'] += 0.01", f"{LAYER}final_layer_norm.weight"),
}


RUNS = """
import torch
from harness.candidates import torch as right
from harness.candidates.torch import *
ARRAYS = "torch"
UP, HEAD = "model.layers.1.mlp.up_proj.weight", "lm_head.weight"

{mistake}
"""
TRAINS = """
def train_endpoint(config, weights, batches, *, dtype, device, **options):
    said = right.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
    {}
    return said
"""
RESUMES = """
def train_endpoint(config, weights, batches, *, resume=None, dtype, device, **options):
    if resume is not None:
        (_, weights), batches = right.load_checkpoint(resume), batches[4:]
    return right.train_endpoint(config, weights, batches, dtype=dtype, device=device, **options)
"""
LOADS = """
def load_checkpoint(folder):
    config, weights = right.load_checkpoint(folder)
    return config, {**weights, HEAD: torch.randn_like(weights[HEAD])}
"""
PACKS = """
def load_quantized_checkpoint(folder, kind):
    config, packed = right.load_quantized_checkpoint(folder, kind)
    return config, {**packed, HEAD: packed[HEAD].flip(0)}
"""
LAGS = """
def train(config, weights, batches, *, dtype, device, **options):
    said = right.train(config, weights, batches, dtype=dtype, device=device, **options)
    said["weights"]["model.norm.weight"] = weights["model.norm.weight"]
    return said
"""
RUN_MISTAKES = {
    "none": ("ENDPOINT-STEPS", "", None),
    "a step on a copy": ("ENDPOINT-STEPS", TRAINS.format("said['weights'] = dict(weights)"), HEAD),
    "a frozen tensor decays": ("ENDPOINT-STEPS", TRAINS.format("said['weights'][UP] = weights[UP] * 0.999"), UP),
    "the loader draws a head": ("ENDPOINT-CHECKPOINT", LOADS, f"loaded {HEAD}"),
    "a head is packed upside down": ("ENDPOINT-QUANTIZED", PACKS, HEAD),
    "momentum is lost": ("ENDPOINT-RESUME", RESUMES, HEAD),
    "a norm stays": ("TRAINER-STEPS", LAGS, "model.norm.weight"),
    "NaN is reported": (
        "PERPLEXITY-REPORTED",
        TRAINS.format("said['final_perplexity'] = float('nan')"),
        "final_perplexity",
    ),
}


def settle(found: Any, tensor: str | None) -> None:
    if tensor is None:
        assert not found.violated, found.reason
    else:
        assert found.verdict.name == "FALSIFIED", found.reason
        assert tensor in found.violated[0]["pair"]


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ENDPOINT_MISTAKES)
def test_an_endpoint_trainer_with_one_mistake_is_falsified_by_its_tensor(name: str, tmp_path: Path) -> None:
    mistake, tensor = ENDPOINT_MISTAKES[name]
    explore = {"dtype": {"choices": ["float64"]}, "model_type": {"choices": ["qwen2"]}}
    source = ENDPOINT.format(mistake=mistake)
    settle(judged_alone("FALSIFY-ENDPOINT-GRADIENTS-001", tmp_path, source, explore=explore, examples=1), tensor)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ENTRY_MISTAKES)
def test_an_encoder_decoder_with_one_mistake_is_falsified_by_its_tensor(name: str, tmp_path: Path) -> None:
    mistake, tensor = ENTRY_MISTAKES[name]
    source = ENTRIES.format(mistake=mistake)
    explore = {"eps": {"choices": [1e-5]}}
    settle(judged_alone("FALSIFY-SEQ2SEQ-ENTRIES-001", tmp_path, source, explore=explore, examples=1), tensor)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", RUN_MISTAKES)
def test_a_run_with_one_mistake_is_falsified_in_words_that_name_the_tensor(name: str, tmp_path: Path) -> None:
    claim, mistake, tensor = RUN_MISTAKES[name]
    domains = shipped(f"FALSIFY-{claim}-001")[0].explore
    first = {key: {"choices": domain["choices"][:1]} for key, domain in domains.items()}
    source = RUNS.format(mistake=mistake)
    found = judged_alone(f"FALSIFY-{claim}-001", tmp_path, source, explore=first, examples=1)
    if tensor is None:
        assert not found.violated, found.reason
    else:
        assert found.verdict.name == "FALSIFIED", found.reason
        assert tensor in found.reason
