"""Falsifiers of the loss on held-out text: computed from the subject's logits, and reported by the subject."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.baselines import corpora
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.documents import documents, tokenizer_of
from harness.falsifiers.inputs.synthetic_model import Config, small_config
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.families import declare

MEASURES = {
    "val_loss": "mean cross-entropy on held-out text, nats per token",
    "ln_vocab": "natural logarithm of the vocabulary size: the loss of a uniform guess, nats",
    "loss_fraction": "val_loss over ln_vocab",
    "initial_loss": "mean cross-entropy of an untrained model, nats per token",
    "initial_loss_fraction": "initial_loss over ln_vocab",
    "nats_above_uniform": "initial_loss minus ln_vocab",
    "reported_val_loss": "the loss the candidate's own evaluation reports",
    "nats_from_reference": "absolute difference of the reported loss and the reference's on the same targets, nats",
    "ln_vocab_error": "absolute difference of the reported and the true ln(vocabulary size), nats",
    "shifted_twice": "1 if the reported loss is that of the tokens after next, as from two shifts, else 0",
    "tokens_miscounted": "absolute difference of the reported number of tokens and the number of targets",
}
IGNORED = -100
INITIAL_STD = 0.02
"""Hugging Face's initializer_range; gains start at 1, biases at 0."""


def held_out(
    subject: Any, case: Case, *, weights: str, corpus: str, rows: int, length: int, batch: int = 16
) -> Observation:
    """Per-token losses of a checkpoint on windows of its held-out files, from the subject's logits.

    Shapes: tokens (rows, length) -> losses (rows, length - 1), computed here in float64.
    Raises: NoHeldOutText (UNVERIFIED) if the held-out text is unknown; UserError if the folder is not a checkpoint.
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    tokens = case.array("tokens", lambda: _windows(str(weights), corpus, rows, length))
    model = subject.load(config, tensors)
    got = np.concatenate([token_losses(model.logits(part), part) for part in _batches(tokens, batch)])
    want = case.once(_reference_losses, str(weights), case.dtype, tokens)
    return Observation(losses=(got.astype(want.dtype), want), **_figures("val_loss", "loss_fraction", got, config))


def untrained(subject: Any, case: Case, *, vocab: int, rows: int, length: int) -> Observation:
    """Loss of a freshly initialised decoder on random tokens, which must be near ln(vocab).

    Shapes: tokens (rows, length); weights of std 0.02, gains 1, biases 0.
    """
    config = small_config(vocab=vocab)
    tensors = {n: _initial(case, n, shape) for n, shape in declare(config).shapes().items()}
    tokens = case.integers("tokens", (rows, length), 0, vocab)
    got = token_losses(subject.load(config, tensors).logits(tokens), tokens)
    figures = _figures("initial_loss", "initial_loss_fraction", got, config)
    return Observation(**figures, nats_above_uniform=figures["initial_loss"] - figures["ln_vocab"])


def reported(
    subject: Any, case: Case, *, weights: str, corpus: str, rows: int, length: int, batch: int = 4
) -> Observation:
    """The loss, ln(vocab) and token count that the subject's own `evaluate` returns.

    Shapes: `rows` // `batch` batches of (tokens, targets), each (batch, length - 1); the share of targets that
            are not -100 falls from batch to batch, from all to a few.
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    tokens = case.array("tokens", lambda: _windows(str(weights), corpus, rows, length))
    counted = np.arange(length - 1) < _counted(rows, batch, length)[:, None]
    targets = case.array("targets", lambda: np.where(counted, tokens[:, 1:], IGNORED))
    batches = list(zip(_batches(tokens[:, :-1], batch), _batches(targets, batch), strict=True))
    report = subject.evaluate(config, tensors, batches)
    once, twice = case.once(_losses_of_two_shifts, str(weights), case.dtype, tokens)
    want, late = once[counted].mean(), twice[counted[:, 1:]].mean()
    return Observation(
        reported_val_loss=report["val_loss"],
        ln_vocab=np.log(config["vocab_size"]),
        nats_from_reference=abs(report["val_loss"] - want),
        shifted_twice=int(abs(report["val_loss"] - late) < abs(late - want) / 20),
        ln_vocab_error=abs(report["ln_vocab"] - np.log(config["vocab_size"])),
        tokens_miscounted=abs(report["tokens"] - counted.sum()),
    )


def token_losses(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[next token], nats, float64.

    Shapes: logits (B, T, V), tokens (B, T) -> (B, T - 1).
    """
    logits = logits[:, :-1].astype(np.float64)
    top = logits.max(axis=-1, keepdims=True)
    log_sum = top[..., 0] + np.log(np.exp(logits - top).sum(axis=-1))
    loss: np.ndarray = log_sum - np.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
    return loss


def _figures(loss: str, fraction: str, losses: np.ndarray, config: Config) -> dict[str, Any]:
    mean, uniform = float(losses.mean()), float(np.log(config["vocab_size"]))
    return {loss: mean, "ln_vocab": uniform, fraction: mean / uniform}


def _windows(folder: str, corpus: str, rows: int, length: int) -> np.ndarray:
    """`rows` windows of held-out files, evenly spaced over all windows; none crosses the end of a file."""
    _, texts = documents(folder, corpus)
    encoded = corpora.encode(tokenizer_of(folder), tuple(texts.values()))
    windows = np.concatenate([ids[: ids.size // length * length].reshape(-1, length) for ids in encoded])
    if len(windows) < rows:
        raise UserError(f"rows: found {rows}, but the held-out text has {len(windows)} windows of {length} tokens")
    return windows[np.linspace(0, len(windows) - 1, rows).astype(int)].astype(np.int64)


def _counted(rows: int, batch: int, length: int) -> np.ndarray:
    """The number of targets of each row that are not -100: all in the first batch, the fewest in the last."""
    batches = np.arange(rows) // batch
    return np.maximum(1, (length - 1) // (1 + 2 * batches))


def _batches(rows: np.ndarray, batch: int) -> list[np.ndarray]:
    return [rows[start : start + batch] for start in range(0, len(rows), batch)]


def _reference_losses(folder: str, dtype: str, tokens: np.ndarray) -> np.ndarray:
    config, weights = read_checkpoint(folder, dtype)
    return np.concatenate([token_losses(decoder_logits(config, weights, p), p) for p in _batches(tokens, 8)])


def _losses_of_two_shifts(folder: str, dtype: str, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reference's losses (B, T - 1) for the next token, and (B, T - 2) for the one after it."""
    config, weights = read_checkpoint(folder, dtype)
    once, twice = [], []
    for part in _batches(tokens, 8):
        logits = decoder_logits(config, weights, part)
        once.append(token_losses(logits, part))
        twice.append(token_losses(logits[:, :-1], part[:, 1:]))
    return np.concatenate(once), np.concatenate(twice)


def _initial(case: Case, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("norm.weight"):
        return case.array(name, np.ones(shape))
    return case.array(name, np.zeros(shape)) if name.endswith(".bias") else case.normal(name, shape, std=INITIAL_STD)
