"""Endpoint training by transformers' decoder, torch.autograd and torch.optim.SGD."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoConfig

from harness.falsifiers.baselines.transformers.decoder import ARRAYS, load

__all__ = [
    "ARRAYS",
    "endpoint_grads",
    "exact_embedding_gradient",
    "exact_grads",
    "load",
    "load_checkpoint",
    "perplexity",
    "save_checkpoint",
    "train_endpoint",
]

OPTIMIZER = "optimizer.pt"
TRAINED = ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")
Config = Mapping[str, Any]
Weights = Mapping[str, torch.Tensor]
Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]


def endpoint_grads(
    config: Config, weights: Weights, tokens: torch.Tensor, targets: torch.Tensor, *, dtype: str, device: str
) -> tuple[float, dict[str, torch.Tensor]]:
    """(mean loss in nats, {name: gradient}) with the layers frozen and bypassed. Shapes: tokens, targets (B, T)."""
    model = load(config, weights, dtype=dtype, device=device).model
    return _backward(model, _bypassed(model, tokens), targets)


def exact_grads(
    config: Config, weights: Weights, tokens: torch.Tensor, targets: torch.Tensor, *, dtype: str, device: str
) -> dict[str, torch.Tensor]:
    """The exact gradients through all layers, which the bypass of `endpoint_grads` approximates."""
    model = load(config, weights, dtype=dtype, device=device).model
    return _backward(model, model(input_ids=tokens, use_cache=False).logits, targets)[1]


def exact_embedding_gradient(
    config: Config, weights: Mapping[str, np.ndarray], tokens: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """The exact gradient of the embeddings in float64. Shapes: tokens, targets (B, T) -> (V, C)."""
    tensors = {name: torch.tensor(tensor, dtype=torch.float64) for name, tensor in weights.items()}
    ids = (torch.tensor(tokens), torch.tensor(targets))
    found = exact_grads(config, tensors, *ids, dtype="float64", device="cpu")[TRAINED[0]].numpy()
    return np.asarray(found)


def train_endpoint(
    config: Config,
    weights: Weights,
    batches: Batches,
    *,
    lr: float,
    epochs: int = 1,
    max_norm: float | None = None,
    momentum: float = 0.0,
    held_out: Batches | None = None,
    folder: str | None = None,
    save_every: int = 0,
    resume: str | None = None,
    dtype: str,
    device: str,
) -> dict[str, Any]:
    """One step of SGD per batch, `epochs` times over the batches; losses and norms are from before each step.

    With `held_out`, also its perplexity before and after; with `folder`, a checkpoint every `save_every` steps;
    with `resume`, a checkpoint's folder, only the remaining steps, from its weights and optimizer state.
    Source: torch.optim.SGD; torch.nn.utils.clip_grad_norm_; torch.nn.functional.cross_entropy.
    """
    weights = weights if resume is None else load_file(str(Path(resume) / "model.safetensors"))
    model = load(config, weights, dtype=dtype, device=device).model
    trained = [p for name, p in model.named_parameters() if name in TRAINED]
    step = torch.optim.SGD(trained, lr=lr, momentum=momentum)
    done = 0 if resume is None else _restore(step, resume)
    history: dict[str, Any] = {key: [] for key in ("losses", "perplexities", "grad_norms", "lrs", "tokens_per_s")}
    if held_out is not None:
        history["initial_perplexity"] = _perplexity(model, held_out)
    for tokens, targets in [batch for _ in range(epochs) for batch in batches][done:]:
        began = time.perf_counter()
        loss, _ = _backward(model, _bypassed(model, tokens), targets)
        norm = torch.nn.utils.clip_grad_norm_(trained, math.inf if max_norm is None else max_norm)
        step.step()
        history["losses"].append(loss)
        history["perplexities"].append(math.exp(loss))
        history["grad_norms"].append(float(norm))
        history["lrs"].append(step.param_groups[0]["lr"])
        history["tokens_per_s"].append(tokens.numel() / (time.perf_counter() - began))
        done += 1
        if folder is not None and save_every and done % save_every == 0:
            save_checkpoint(str(Path(folder) / f"step-{done}"), config, _state(model, weights))
            torch.save({"step": done, **step.state_dict()}, Path(folder) / f"step-{done}" / OPTIMIZER)
    if held_out is not None:
        history["final_perplexity"] = _perplexity(model, held_out)
    return {**history, "weights": _state(model, weights)}


def perplexity(config: Config, weights: Weights, batches: Batches, *, dtype: str, device: str) -> float:
    """exp of the mean loss over all targets, other than -100, of all batches."""
    return _perplexity(load(config, weights, dtype=dtype, device=device).model, batches)


def save_checkpoint(folder: str, config: Config, weights: Weights) -> None:
    """Write a Hugging Face folder: config.json by AutoConfig, weights in model.safetensors."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    AutoConfig.for_model(**config).save_pretrained(folder)
    save_file({n: w.contiguous().clone() for n, w in weights.items()}, str(Path(folder) / "model.safetensors"))


def load_checkpoint(folder: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, weights) of a folder."""
    return AutoConfig.from_pretrained(folder).to_dict(), load_file(str(Path(folder) / "model.safetensors"))


def _restore(step: torch.optim.Optimizer, folder: str) -> int:
    """Load the optimizer's state from a checkpoint's folder; return the number of steps taken."""
    state = torch.load(Path(folder) / OPTIMIZER, weights_only=True)
    done = int(state.pop("step"))
    step.load_state_dict(state)
    return done


def _bypassed(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Logits whose graph holds head, norm and embedding, with the identity in place of the layers."""
    seen: list[torch.Tensor] = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model.model(input_ids=tokens, use_cache=False)
    hook.remove()
    embedded = model.model.embed_tokens(tokens)
    # embedded - embedded.detach() is exactly 0: the value comes from the layers, the gradient from the embedding.
    return model.lm_head(model.model.norm(seen[0] + (embedded - embedded.detach())))


def _backward(model: Any, logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad(set_to_none=True)
    loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if n in TRAINED}


@torch.no_grad()
def _perplexity(model: Any, batches: Batches) -> float:
    total, count = 0.0, 0
    for tokens, targets in batches:
        logits = model(input_ids=tokens, use_cache=False).logits.double().flatten(0, 1)
        total += cross_entropy(logits, targets.flatten(), reduction="sum").item()
        count += int((targets != -100).sum())
    return math.exp(total / count)


def _state(model: Any, weights: Weights) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if name in weights}
