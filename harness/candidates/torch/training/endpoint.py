"""Train head, final norm and embeddings of a decoder with hand-written gradients that bypass the layers between."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.candidates.torch.model.decoder import Decoder, load

EMBEDDING, NORM, HEAD = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
TRAINED = (EMBEDDING, NORM, HEAD)
IGNORED = -100
SLACK = 1e-6
"""Added to the norm in clipping, as torch.nn.utils.clip_grad_norm_ does."""
Config = Mapping[str, Any]
Weights = Mapping[str, torch.Tensor]
Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]
Gradients = dict[str, torch.Tensor]


def endpoint_grads(
    config: Config, weights: Weights, tokens: torch.Tensor, targets: torch.Tensor, *, dtype: str, device: str
) -> tuple[float, Gradients]:
    """Mean cross-entropy and its gradients by head, final norm and (bypassing the layers between) embeddings.

    Shapes: tokens, targets (B, T), targets already shifted, -100 ignored -> loss, {name: gradient}.
    Units:  nats; every counted token of any row weighs 1/N.
    Raises: ValueError if the head is tied, all targets are -100, or one is out of range.
    """
    _check_config(config)
    return _loss_and_grads(load(config, weights, dtype=dtype, device=device), tokens, targets)


@torch.no_grad()
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
    """Gradient descent, one step per batch, `epochs` times over the batches; `weights` is never changed.

    Returns losses, perplexities, grad_norms, lrs and tokens_per_s, one per step, from before the update, norms
    before clipping; `weights`; with `held_out` also initial_perplexity and final_perplexity. With `folder`, saves a
    checkpoint `step-N` every `save_every` steps. With `resume`, a checkpoint's folder, takes weights, momentum and
    step from it, and returns only the remaining steps.
    Raises: ValueError as `endpoint_grads`, naming the batch; or if lr or max_norm is not positive, a loss is not
            finite, or the momentum in `resume` does not fit the trained tensors.
    """
    _check_config(config)
    if not lr > 0 or not (max_norm is None or max_norm > 0):
        raise ValueError(f"train_endpoint: found lr {lr} and max_norm {max_norm}, expected positive numbers")
    config, weights, done, velocity = _start(config, weights, resume)
    # Copy only the trained tensors; the frozen ones stay the caller's.
    own = {name: w.detach().clone() if name in TRAINED else w.detach() for name, w in weights.items()}
    model = load(config, own, dtype=dtype, device=device)
    history: dict[str, Any] = {key: [] for key in ("losses", "perplexities", "grad_norms", "lrs", "tokens_per_s")}
    if held_out is not None:
        history["initial_perplexity"] = _perplexity(model, held_out)
    velocity = {name: v.to(model.weights[name]) for name, v in velocity.items()}
    for step, (tokens, targets) in list(enumerate([b for _ in range(epochs) for b in batches], start=1))[done:]:
        began = time.perf_counter()
        try:
            loss, norm = _step(model, velocity, tokens, targets, lr, max_norm, momentum)
        except ValueError as problem:
            raise ValueError(f"batch {(step - 1) % len(batches)}: {problem}") from None
        _record_step(history, loss, norm, lr, tokens.numel() / (time.perf_counter() - began))
        if folder is not None and save_every and step % save_every == 0:
            save_checkpoint(str(Path(folder) / f"step-{step}"), config, model.weights)
            _save_optimizer(str(Path(folder) / f"step-{step}"), step, velocity)
    if held_out is not None:
        history["final_perplexity"] = _perplexity(model, held_out)
    return {**history, "weights": model.weights}


def _start(config: Config, weights: Weights, resume: str | None) -> tuple[Config, Weights, int, Weights]:
    """Config, weights, the number of steps done and the momentum: as given and zero, or from a checkpoint's folder."""
    if resume is None:
        return config, weights, 0, {name: torch.zeros_like(weights[name]) for name in TRAINED}
    config, weights = load_checkpoint(resume)
    done, velocity = _load_optimizer(resume)
    _check_momentum(velocity, weights)
    return config, weights, done, velocity


def perplexity(config: Config, weights: Weights, batches: Batches, *, dtype: str, device: str) -> float:
    """exp of the mean loss over all targets, other than -100, of all batches."""
    return _perplexity(load(config, weights, dtype=dtype, device=device), batches)


def save_checkpoint(folder: str, config: Config, weights: Weights) -> None:
    """Write config.json and model.safetensors; tensors keep their dtype."""
    from safetensors.torch import save_file

    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "config.json").write_text(json.dumps(dict(config), indent=2, sort_keys=True), encoding="utf-8")
    save_file({n: w.detach().cpu().contiguous() for n, w in weights.items()}, str(Path(folder) / "model.safetensors"))


def load_checkpoint(folder: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, weights) as `save_checkpoint` wrote them."""
    from safetensors.torch import load_file

    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    return config, load_file(str(Path(folder) / "model.safetensors"))


def _save_optimizer(folder: str, step: int, velocity: Weights) -> None:
    """Write the number of steps taken and the momentum to optimizer.safetensors, beside the weights."""
    from safetensors.torch import save_file

    path = str(Path(folder) / "optimizer.safetensors")
    save_file({n: v.detach().cpu().contiguous() for n, v in velocity.items()}, path, metadata={"step": str(step)})


def _load_optimizer(folder: str) -> tuple[int, dict[str, torch.Tensor]]:
    """(steps taken, momentum by name) as `_save_optimizer` wrote them."""
    from safetensors import safe_open

    with safe_open(str(Path(folder) / "optimizer.safetensors"), framework="pt") as file:
        return int(file.metadata()["step"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _step(
    model: Decoder,
    velocity: Gradients,
    tokens: torch.Tensor,
    targets: torch.Tensor,
    lr: float,
    max_norm: float | None,
    momentum: float,
) -> tuple[float, float]:
    loss, grads = _loss_and_grads(model, tokens, targets)
    norm = math.sqrt(sum(float(grad.double().square().sum()) for grad in grads.values()))
    if not math.isfinite(loss + norm):
        raise ValueError(f"found loss {loss} and gradient norm {norm}, expected finite numbers; no step is taken")
    shrink = 1.0 if max_norm is None else min(1.0, max_norm / (norm + SLACK))
    for name, grad in grads.items():
        velocity[name].mul_(momentum).add_(grad, alpha=shrink)
        model.weights[name].sub_(velocity[name], alpha=lr)
    return loss, norm


@torch.no_grad()
def _loss_and_grads(model: Decoder, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[float, Gradients]:
    stages = model.stages(tokens)
    hidden, out, logits = (stages[n] for n in (f"layers.{model.layers - 1}.mlp_residual", "final_norm", "logits"))
    loss, dlogits = _cross_entropy(logits, targets.to(logits.device))
    head, gain = model.weights[HEAD], model.weights[NORM]
    dhead = dlogits.flatten(0, 1).T @ out.flatten(0, 1)
    dout = dlogits @ head

    wide = hidden if hidden.dtype in (torch.float32, torch.float64) else hidden.float()
    inverse_rms = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + model.eps)
    normalised = wide * inverse_rms  # not out / gain, because a gain may be 0
    dgain = (dout * normalised).sum(dim=(0, 1)).to(gain.dtype)
    scaled = dout * gain
    dhidden = inverse_rms * (scaled - normalised * (scaled * normalised).mean(dim=-1, keepdim=True))

    embedding = model.weights[EMBEDDING]
    dembedding = torch.zeros_like(embedding)
    dembedding.index_add_(0, tokens.to(model.device).flatten(), dhidden.flatten(0, 1).to(embedding.dtype))
    return loss, {EMBEDDING: dembedding, NORM: dgain, HEAD: dhead}


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Mean loss, and (softmax - onehot) / N in the dtype of the logits. Shapes: (B, T, V), (B, T) -> (), (B, T, V)."""
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"targets: found {tuple(targets.shape)}, expected {tuple(logits.shape[:-1])} as the tokens")
    counted = targets != IGNORED
    count, vocab = int(counted.sum()), logits.shape[-1]
    wrong = targets[counted & ((targets < 0) | (targets >= vocab))]
    if not count or wrong.numel():
        found = f"target {int(wrong[0])}" if wrong.numel() else "no target that counts"
        raise ValueError(f"targets: found {found}, expected 0 to {vocab - 1}, or {IGNORED} for those left out")
    at = targets.clamp(min=0)[..., None]
    logs = logits.double().log_softmax(dim=-1)
    loss = -float(logs.gather(-1, at)[..., 0][counted].sum()) / count
    grad = logs.exp().scatter_add_(-1, at, torch.full_like(at, -1, dtype=logs.dtype))
    return loss, (grad * counted[..., None] / count).to(logits.dtype)


@torch.no_grad()
def _perplexity(model: Decoder, batches: Batches) -> float:
    total, count = 0.0, 0
    for tokens, targets in batches:
        kept = int((targets != IGNORED).sum())
        total += _cross_entropy(model.logits(tokens), targets.to(model.device))[0] * kept
        count += kept
    return math.exp(total / count)


def _record_step(history: dict[str, Any], loss: float, norm: float, lr: float, speed: float) -> None:
    """Append one step to the history."""
    entry = {"losses": loss, "perplexities": math.exp(loss), "grad_norms": norm, "lrs": lr, "tokens_per_s": speed}
    for key, value in entry.items():
        history[key].append(value)


def _check_momentum(velocity: Gradients, weights: Weights) -> None:
    for name in TRAINED:
        found = tuple(velocity[name].shape) if name in velocity else "none"
        if found != tuple(weights[name].shape):
            raise ValueError(f"momentum of {name!r}: found {found}, expected {tuple(weights[name].shape)}")


def _check_config(config: Config) -> None:
    if config.get("tie_word_embeddings"):
        raise ValueError(
            "config: found tie_word_embeddings true, expected false: head and embedding are trained separately"
        )
