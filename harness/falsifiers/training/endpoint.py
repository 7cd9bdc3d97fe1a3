"""Falsifiers of the endpoint trainer: its gradients, its steps, and its bypass of the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, small_config
from harness.falsifiers.inputs.text_windows import training_windows
from harness.observation import Observation
from harness.reference.training.endpoint import EMBEDDING, NORM, TRAINED, endpoint_grads, train_endpoint

MEASURES = {
    "fallen": "1 - mean loss of the last epoch over mean loss of the first epoch",
    "unmoved": "number of trained tensors that training did not change",
    "frozen_moved": "number of frozen tensors that training changed in any byte",
    "bypass_cosine": "cosine between the bypass gradient and the exact gradient of the embeddings",
    "bypass_magnitude": "norm of the bypass gradient over norm of the exact gradient of the embeddings",
}
IGNORED = -100
Batches = list[tuple[np.ndarray, np.ndarray]]


def gradients(subject: Any, case: Case, *, model_type: str, batch: int, length: int, layers: int = 2) -> Observation:
    """Loss and gradients of one batch with rows of unequal length, repeated tokens, and gains that are 0.

    Shapes: tokens, targets (batch, length) -> loss (), gradients (V, C), (C,), (V, C).
    """
    config, weights = model_with_zero_gains(case, model_type, layers)
    [(tokens, targets)] = ragged_batches(case, config, 1, batch, length)
    want_loss, want = case.once(endpoint_grads, config, weights, tokens, targets)
    loss, got = subject.endpoint_grads(config, weights, tokens, targets)
    pairs: dict[str, Any] = {name: (tensor_of(got, name), want[name]) for name in TRAINED}
    return Observation(loss=(np.asarray(loss), np.asarray(want_loss)), **pairs)


def trajectory(
    subject: Any, case: Case, *, model_type: str, lr: float, max_norm: float | None, epochs: int, batches: int = 4
) -> Observation:
    """Train for epochs * batches steps: losses and norms per step, each trained tensor's change, no other change.

    The observation names trained tensors that did not change and frozen tensors that did.

    Shapes: losses, grad_norms (steps,); changes as the tensors.
    Units:  max_norm 0 trains without clipping.
    """
    config, weights = model_with_zero_gains(case, model_type, 2)
    data = ragged_batches(case, config, batches, 4, 8)
    clip = {"max_norm": max_norm} if max_norm else {}
    want = case.once(train_endpoint, config, weights, data, lr=lr, epochs=epochs, **clip)
    run = subject.train_endpoint(config, weights, data, lr=lr, epochs=epochs, **clip)
    got = {name: tensor_of(run["weights"], name) for name in weights}
    losses = np.asarray(run["losses"], np.float64)
    pairs: dict[str, Any] = {
        f"{name} moved": (_moved(got[name], weights[name]), want["weights"][name] - weights[name]) for name in TRAINED
    }
    same = {name for name in weights if got[name].tobytes() == weights[name].tobytes()}
    unmoved = [name for name in TRAINED if name in same]
    frozen_moved = [name for name in weights if name not in TRAINED and name not in same]
    return Observation(
        losses=(losses, np.asarray(want["losses"])),
        grad_norms=(np.asarray(run["grad_norms"], np.float64), np.asarray(want["grad_norms"])),
        frozen_moved=len(frozen_moved),
        unmoved=len(unmoved),
        fallen=1 - losses[-batches:].mean() / losses[:batches].mean(),
        series={"loss": losses, "grad_norm": run["grad_norms"]},
        where={"frozen_moved": some_of(frozen_moved), "unmoved": some_of(unmoved)},
        **pairs,
    )


def bypass(subject: Any, case: Case, *, embedding_std: float, layers: int, batch: int, length: int) -> Observation:
    """The bypass gradient of a model's embeddings against torch.autograd's exact one through all layers.

    Shapes: tokens (batch, length) -> gradient (V, C).
    """
    config = small_config(layers=layers)
    weights = {
        name: initial_tensor(case, name, w.shape, embedding_std) for name, w in case_weights(case, config).items()
    }
    [(tokens, targets)] = ragged_batches(case, config, 1, batch, length)
    return _beside_exact(subject, case, config, weights, tokens, targets)


def bypass_trained(subject: Any, case: Case, *, weights: str, corpus: str, rows: int, length: int) -> Observation:
    """As `bypass`, on a trained checkpoint and its training text, where the layers are far from the identity."""
    config, tensors = read_checkpoint(str(weights), case.dtype)
    ids = case.array("ids", lambda: training_windows(str(weights), corpus, rows, length + 1))
    return _beside_exact(subject, case, config, tensors, ids[:, :-1], ids[:, 1:])


def model_with_zero_gains(case: Case, model_type: str, layers: int) -> tuple[Config, Weights]:
    """A small decoder with an untied head and two gains that are exactly 0."""
    config = small_config(model_type=model_type, layers=layers, tied=False)
    weights = case_weights(case, config)
    alive = np.ones(weights[NORM].shape)
    alive[[1, 5]] = 0
    return config, {**weights, NORM: case.array("gain with zeros", lambda: weights[NORM] * alive)}


def ragged_batches(case: Case, config: Config, count: int, batch: int, length: int) -> Batches:
    """Batches (tokens, targets) in whose rows all, 1/2, 1/3 ... of the targets are not -100."""
    vocab = int(config["vocab_size"])
    counted = np.arange(length) < np.maximum(1, length // (1 + np.arange(batch)))[:, None]

    def pair(i: int) -> tuple[np.ndarray, np.ndarray]:
        tokens = case.integers(f"tokens {i}", (batch, length), 0, vocab)
        drawn = case.stream(f"targets {i}").integers(0, vocab, (batch, length))
        return tokens, case.array(f"targets {i}", np.where(counted, drawn, IGNORED))

    return [pair(i) for i in range(count)]


def initial_tensor(case: Case, name: str, shape: tuple[int, ...], embedding_std: float) -> np.ndarray:
    """An untrained model's tensor: Hugging Face's std 0.02, gains 1, biases 0, and embeddings of a given std."""
    if name.endswith("norm.weight"):
        return case.array(f"fresh {name}", np.ones(shape))
    if name.endswith(".bias"):
        return case.array(f"fresh {name}", np.zeros(shape))
    return case.normal(f"fresh {name}", shape, std=embedding_std if name == EMBEDDING else 0.02)


def _beside_exact(
    subject: Any, case: Case, config: Config, weights: Weights, tokens: np.ndarray, targets: np.ndarray
) -> Observation:
    exact = case.once(_exact, config, weights, tokens, targets)
    want = case.once(endpoint_grads, config, weights, tokens, targets)[1][EMBEDDING]
    got = tensor_of(subject.endpoint_grads(config, weights, tokens, targets)[1], EMBEDDING)
    length, whole = np.linalg.norm(got), np.linalg.norm(exact)
    return Observation(
        bypass=(got, want),
        bypass_cosine=float(np.sum(got * exact) / (length * whole)),
        bypass_magnitude=float(length / whole),
    )


def _exact(config: Config, weights: Weights, tokens: np.ndarray, targets: np.ndarray) -> np.ndarray:
    from harness.falsifiers.baselines.autograd_endpoint import exact_embedding_gradient

    return exact_embedding_gradient(config, weights, tokens, targets)


def tensor_of(tensors: Any, name: str) -> np.ndarray:
    """One of the subject's returned tensors. Raises: UserError naming a tensor that is missing."""
    if name not in tensors:
        raise UserError(f"{name}: not among the {len(tensors)} returned tensors; expected {', '.join(TRAINED)} by name")
    return np.asarray(tensors[name])


def some_of(names: list[str]) -> str:
    """The first three names, and how many more there are; '' for an empty list."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _moved(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return after.astype(np.float64) - before.astype(np.float64) if after.shape == before.shape else after


def bytes_of(tensors: Any, names: list[str]) -> np.ndarray:
    """All bytes of the named tensors in one array; an absent tensor adds none, so that the lengths differ."""
    parts = [np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8) for name in names if name in tensors]
    return np.concatenate([np.zeros(0, np.uint8), *parts])
