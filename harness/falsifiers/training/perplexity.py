"""Falsifiers of perplexity: the gain on held-out documents by endpoint training, and the trainer's own report."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.synthetic_model import Config, Weights, small_config
from harness.falsifiers.inputs.text_windows import held_out_windows, training_windows
from harness.falsifiers.model.val_loss import token_losses
from harness.falsifiers.training.endpoint import IGNORED, Batches, initial_tensor, model_with_zero_gains, tensor_of
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.families import declare
from harness.reference.ops.losses import cross_entropy_forward
from harness.reference.training.endpoint import HEAD

MEASURES = {
    "initial_perplexity": "perplexity of held-out text before training: exp of the mean loss over its tokens",
    "initial_perplexity_of_vocab": "initial_perplexity over the vocabulary size",
    "final_perplexity": "perplexity of held-out text after training",
    "ratio_high": "upper end of the 95 % bootstrap interval (over documents) of final over initial perplexity",
    "ratio_low": "lower end of the 95 % bootstrap interval (over documents) of final over initial perplexity",
    "nats_gained": "fall of the loss on held-out text, nats per token, lower 95 % end: -ln(ratio_high)",
    "first_step_error": "absolute difference of the first step's recorded loss and the reference's, nats",
    "nats_misreported": "largest absolute difference of ln(reported perplexity) and the loss of the same weights",
}
RESAMPLED = 2000
INITIAL_STD = 0.02
"""Hugging Face's initializer_range."""


def floor(
    subject: Any, case: Case, *, weights: str, corpus: str, steps: int, batch: int, length: int, lr: float
) -> Observation:
    """Perplexity of held-out documents before and after training a random head, as a paired bootstrap interval.

    A trained checkpoint gets a random head, so that the endpoint can learn something that also helps on files
    on which neither the layers nor the endpoint were trained.
    Shapes: steps * batch windows of training files, `length` tokens each; the first window of each held-out file.
    Raises: NoHeldOutText (UNVERIFIED) if the held-out text is unknown.
    """
    config, tensors = _with_fresh_head(case, str(weights))
    data, text, of = _text(case, str(weights), corpus, steps, batch, length)
    before = _losses(subject.load(config, tensors), text)
    run = subject.train_endpoint(config, tensors, data, lr=lr, max_norm=1.0)
    after = _losses(subject.load(config, {name: tensor_of(run["weights"], name) for name in tensors}), text)
    low, high = paired_interval(before, after, of, case.stream("documents"))
    return Observation(
        initial_perplexity=np.exp(before.mean()),
        initial_perplexity_of_vocab=np.exp(before.mean()) / config["vocab_size"],
        final_perplexity=np.exp(after.mean()),
        ratio_low=low,
        ratio_high=high,
        nats_gained=-np.log(high),
        first_step_error=abs(run["losses"][0] - case.once(_first_loss, config, tensors, *data[0])),
        series={"loss": run["losses"], "grad_norm": run["grad_norms"]},
    )


def reported(subject: Any, case: Case, *, model_type: str, steps: int, held_out_batches: int, lr: float) -> Observation:
    """The trainer's reported perplexities of its held-out batches, against the losses of the same weights.

    Shapes: batches of tokens (4, 16); in held-out batch i only the first 1 / (i + 1) of each row's targets count,
            so that batches weigh unequally.
    """
    config, tensors = model_with_zero_gains(case, model_type, 2)
    vocab = int(config["vocab_size"])
    drawn = [case.integers(f"ids {i}", (4, 17), 0, vocab) for i in range(steps + held_out_batches)]
    data = [(ids[:, :-1], ids[:, 1:]) for ids in drawn[:steps]]
    held_out = [_fewer(case, i, ids) for i, ids in enumerate(drawn[steps:])]
    run = subject.train_endpoint(config, tensors, data, lr=lr, held_out=held_out)
    final = {name: tensor_of(run["weights"], name) for name in tensors}
    off = {
        key: abs(np.log(run[key]) - _mean(subject.load(config, of), held_out))
        for key, of in (("initial_perplexity", tensors), ("final_perplexity", final))
    }
    return Observation(
        initial_perplexity=run["initial_perplexity"],
        final_perplexity=run["final_perplexity"],
        # np.max propagates NaN, max does not.
        nats_misreported=np.max(list(off.values())),
        where={"nats_misreported": list(off)[int(np.argmax(list(off.values())))]},
    )


def untrained(subject: Any, case: Case, *, vocab: int, rows: int, length: int) -> Observation:
    """The perplexity of an untrained model on random tokens is about the vocabulary size."""
    config = small_config(vocab=vocab)
    shapes = declare(config).shapes()
    tensors = {name: initial_tensor(case, name, shape, INITIAL_STD) for name, shape in shapes.items()}
    ids = case.integers("ids", (rows, length + 1), 0, vocab)
    found = subject.perplexity(config, tensors, [(ids[i : i + 4, :-1], ids[i : i + 4, 1:]) for i in range(0, rows, 4)])
    return Observation(initial_perplexity_of_vocab=found / vocab)


def paired_interval(
    before: np.ndarray, after: np.ndarray, of: np.ndarray, rng: np.random.Generator
) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of exp(mean after - mean before), resampling whole documents with replacement.

    Shapes: before, after (windows, T) losses of the same tokens, of (windows,) the document of each.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    gain = np.bincount(of, weights=(after - before).sum(axis=1))
    tokens = np.bincount(of) * before.shape[1]
    drawn = rng.integers(0, gain.size, (RESAMPLED, gain.size))
    ratios = np.exp(gain[drawn].sum(axis=1) / tokens[drawn].sum(axis=1))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def _with_fresh_head(case: Case, folder: str) -> tuple[Config, Weights]:
    config, tensors = read_checkpoint(folder, case.dtype)
    return config, {**tensors, HEAD: case.normal("fresh head", tensors[HEAD].shape, std=INITIAL_STD)}


def _text(
    case: Case, folder: str, corpus: str, steps: int, batch: int, length: int
) -> tuple[Batches, np.ndarray, np.ndarray]:
    """Training batches in random order, held-out windows (n, length + 1), and the document of each (n,)."""
    order = case.stream("order").permutation(steps * batch)
    ids = case.array("training ids", lambda: training_windows(folder, corpus, steps * batch, length + 1)[order])
    text, of = held_out_windows(folder, corpus, 1, length + 1)
    data = [(part[:, :-1], part[:, 1:]) for part in np.split(ids, steps)]
    return data, case.array("held-out ids", text), of


def _first_loss(config: Config, weights: Weights, tokens: np.ndarray, targets: np.ndarray) -> float:
    return float(cross_entropy_forward(decoder_logits(config, weights, tokens), targets)[0])


def _losses(model: Any, text: np.ndarray) -> np.ndarray:
    return np.concatenate([token_losses(model.logits(part), part) for part in np.split(text, range(16, len(text), 16))])


def _fewer(case: Case, i: int, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Batch i of (tokens, targets), in which the first 1 / (i + 1) of each row's targets count."""
    targets = text[:, 1:].copy()
    targets[:, max(1, targets.shape[1] // (i + 1)) :] = IGNORED
    return text[:, :-1], case.array(f"held-out targets {i}", targets)


def _mean(model: Any, batches: Batches) -> float:
    """Mean loss over all counted targets: the reference's cross-entropy of the subject's logits."""
    total, count = 0.0, 0
    for tokens, targets in batches:
        kept = int((targets != IGNORED).sum())
        total += float(cross_entropy_forward(model.logits(tokens).astype(np.float64), targets)[0]) * kept
        count += kept
    return total / count
