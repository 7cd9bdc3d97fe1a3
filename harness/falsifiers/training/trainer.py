"""Falsifiers of a whole trainer: its steps, its refusal of bad batches, and its reproducibility by seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, small_config
from harness.falsifiers.training.endpoint import Batches, tensor_of
from harness.observation import Observation
from harness.reference.training.trainer import train

MEASURES = {
    "fallen": "1 - mean loss of the last ten steps over mean loss of the first ten",
    "seed_without_effect": "1 if another seed gives the same losses, else 0",
    "hash_seeds": "number of different string hash seeds in the two processes",
    "processes": "number of different processes",
    "threads": "number of torch's threads in the processes",
    "taken": "bad batches that raise no error",
    "unnamed": "bad batches without a one-line error that names the batch",
    "move_error": "largest error of a tensor's change, over the norm of its change or 1e-3 of the norm of all changes",
}
IGNORED = -100
FAINT = 1e-3
"""If a tensor's change is less than this share of the norm of all changes, its error is divided by that share."""


def steps(
    subject: Any,
    case: Case,
    *,
    loss_scale: float,
    micro_batches: int,
    max_norm: float,
    batches: int = 8,
    lr: float = 3e-3,
    eps: float = 1e-4,
    weight_decay: float = 0.1,
) -> Observation:
    """Losses, gradient norms and changes of weights of a run over batches of unequal size, against the float64 run.

    Shapes: losses, grad_norms (batches,); one pair of all tensors' changes, concatenated.
    Units:  max_norm 0 switches clipping off. eps is large, so that a gradient of pure round-off gives no full step.
    """
    config, weights = _model(case)
    data = _batches(case, config, batches)
    clip = {"max_norm": max_norm} if max_norm else {}
    options: dict[str, Any] = {
        "lr": lr,
        "eps": eps,
        "weight_decay": weight_decay,
        "micro_batches": micro_batches,
        **clip,
    }
    want = case.once(train, config, weights, data, **options)
    run = subject.train(config, weights, data, loss_scale=loss_scale, **options)
    moved = [_move(tensor_of(run["weights"], name), weights[name]) for name in weights]
    right = [want["weights"][name] - weights[name] for name in weights]
    kind = weights["model.norm.weight"].dtype
    whole = np.linalg.norm(np.concatenate([w.ravel() for w in right]))
    apart = [
        float(np.linalg.norm(m - w) / max(np.linalg.norm(w), FAINT * whole)) if m.shape == w.shape else np.inf
        for m, w in zip(moved, right, strict=True)
    ]
    return Observation(
        move_error=np.max(apart),
        where={"move_error": list(weights)[int(np.argmax(apart))]},
        losses=(np.asarray(run["losses"], kind), np.asarray(want["losses"])),
        grad_norms=(np.asarray(run["grad_norms"], kind), np.asarray(want["grad_norms"])),
        moves=(np.concatenate([m.ravel() for m in moved]).astype(kind), np.concatenate([m.ravel() for m in right])),
        series={"loss": run["losses"], "grad_norm": run["grad_norms"]},
    )


def two_processes(
    subject: Any, case: Case, *, steps: int, needs: dict[str, Any], batches: int = 12, lr: float = 3e-3
) -> Observation:
    """Two new processes with the same seed and different string hash seeds give the same losses, order and weights.

    `needs` holds the contract's required settings: threads, deterministic_algorithms, cublas_workspace_config. A
    short run with another seed, in this process, shows that the seed has an effect. The seed also draws the weights.
    Shapes: losses (bytes,), order (steps,), weights (bytes,), of the second process against the first's.
    """
    config = small_config(layers=1, hidden=16, intermediate=24, heads=2, kv_heads=1, head_dim=8)
    data = _batches(case, config, batches)
    workspace = {"CUBLAS_WORKSPACE_CONFIG": str(needs["cublas_workspace_config"])}

    def run(hash_seed: int) -> tuple[dict[str, Any], dict[str, float]]:
        found: tuple[dict[str, Any], dict[str, float]] = subject.in_other_process(
            "train",
            config,
            None,
            data,
            lr=lr,
            steps=steps,
            seed=7,
            environment={**workspace, "PYTHONHASHSEED": str(hash_seed)},
            threads=int(needs["threads"]),
            deterministic=bool(needs["deterministic_algorithms"]),
        )
        print(f"settings of a process: {found[1]}")
        return found

    (first, here), (second, there) = run(1), run(2)
    other = subject.train(config, None, data, lr=lr, steps=10, seed=8)["losses"]
    losses, again = (np.asarray(run_["losses"], np.float64) for run_ in (first, second))
    return Observation(
        losses=(again.view(np.uint8), losses.view(np.uint8)),
        order=(np.asarray(second["order"]), np.asarray(first["order"])),
        weights=(_bytes(second["weights"]), _bytes(first["weights"])),
        seed_without_effect=float(list(first["losses"][:10]) == list(other)),
        fallen=1 - losses[-10:].mean() / losses[:10].mean(),
        hash_seeds=len({here["hash_seed"], there["hash_seed"]}),
        processes=len({here["process"], there["process"]}),
        threads=here["threads"],
        series={"loss": losses, "loss again": again, "loss of another seed": other},
    )


def refuses(subject: Any, case: Case) -> Observation:
    """The trainer refuses a batch whose targets are all -100, out of range, or whose loss is NaN, and names the batch.

    A correct run comes first. The boundary checks that no call changes its arguments.
    """
    config, weights = _model(case)
    data = _batches(case, config, 3)
    subject.train(config, weights, data, lr=1e-3)
    vocab = int(config["vocab_size"])
    unseen = next(i for i in range(vocab) if all(i not in tokens for tokens, _ in data))
    poisoned = weights["model.embed_tokens.weight"].copy()
    poisoned[unseen] = np.nan
    mistakes = [
        (weights, [*data[:2], (data[2][0], np.full_like(data[2][1], IGNORED))]),
        (weights, [*data[:2], (data[2][0], np.where(np.arange(8) == 3, vocab + 4, data[2][1]))]),
        (
            {**weights, "model.embed_tokens.weight": poisoned},
            [*data[:2], (np.full_like(data[2][0], unseen), data[2][1])],
        ),
    ]
    answers = [_answer(subject, config, held, wrong) for held, wrong in mistakes]
    return Observation(
        taken=sum(text is None for text in answers),
        unnamed=sum(text is None or "batch 2" not in text or "\n" in text for text in answers),
    )


def _move(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return after.astype(np.float64) - before if after.shape == before.shape else after


def _answer(subject: Any, config: Config, weights: Weights, data: Batches) -> str | None:
    try:
        subject.train(config, weights, data, lr=1e-3)
    except (ValueError, IndexError, RuntimeError) as refusal:
        return str(refusal)
    return None


def _model(case: Case) -> tuple[Config, Weights]:
    config = small_config(layers=1)
    return config, case_weights(case, config)


def _batches(case: Case, config: Config, count: int) -> Batches:
    """Batches of four rows of 8 tokens that follow a learnable rule; the rows have 8, 8, 3 and 1 counted targets."""
    vocab = int(config["vocab_size"])
    counted = np.arange(8) < np.array([[8], [8], [3], [1]])

    def batch(i: int) -> tuple[np.ndarray, np.ndarray]:
        first = case.integers(f"first {i}", (4, 1), 0, vocab // 2)
        tokens = case.array(f"tokens {i}", (first + np.arange(8)) % (vocab // 2))
        return tokens, case.array(f"targets {i}", np.where(counted, (tokens + 1) % (vocab // 2), IGNORED))

    return [batch(i) for i in range(count)]


def _bytes(weights: dict[str, Any]) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(w).reshape(-1).view(np.uint8) for w in weights.values()])
