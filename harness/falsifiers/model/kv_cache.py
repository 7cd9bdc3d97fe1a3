"""Falsifiers of the KV cache: a prompt split anywhere, in chunks, padded, or after another request.

Each model is either a checkpoint folder (`weights`) or a synthetic one with random weights (`model`, the
arguments of `falsifiers.inputs.synthetic_model.synthetic_config` except model_type). A falsifier only passes the
subject's caches back to it. The expected logits are the reference's for each row alone, without a cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.cache_requests import Request, Stages, in_chunks, piece_stages, row_stages, run
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights, logits_of
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_weights, first_twice, synthetic_config
from harness.observation import Observation
from harness.reference.model.decoder_cache import cache_of_one_layer, decode, prefill

MEASURES = {
    "cached_over_full": "error of cached decoding over error of the subject's own uncached forward pass, same tokens",
}


def every_split(
    subject: Any,
    case: Case,
    *,
    length: int = 9,
    batch: int = 2,
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Observation:
    """For every split s: a prefill of s tokens and then single tokens equal the uncached forward pass.

    Shapes: tokens (batch, length) -> logits (length - 1, batch, length, V), one forward per split.
    Units:  shape gives length, batch, and sizes of the model together, so that a contract can explore them as one.
    """
    sizes = {"length": length, "batch": batch, **(shape or {})}
    config, tensors, tokens, want = _whole(case, sizes, weights, model, model_type)
    loaded, length = subject.load(config, tensors), tokens.shape[1]
    got = [run(loaded, tokens, [split] + [1] * (length - split)) for split in range(1, length)]
    return Observation(logits=(np.stack(got), np.broadcast_to(want, (length - 1, *want.shape))))


def every_split_stages(
    subject: Any,
    case: Case,
    *,
    replaced: bool = False,
    length: int = 9,
    batch: int = 2,
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Stages:
    """(stage, got, want): a prefill of half the tokens, then three single ones; `replaced` as in `piece_stages`."""
    sizes = {"length": length, "batch": batch, **(shape or {})}
    config, tensors, tokens, want = _whole(case, sizes, weights, model, model_type)
    half = tokens.shape[1] // 2
    pieces = [half] + [1] * min(3, tokens.shape[1] - half)
    return piece_stages(subject.load(config, tensors), tokens, pieces, want, replaced)


def chunked(
    subject: Any,
    case: Case,
    *,
    length: int = 37,
    chunk: int = 8,
    batch: int = 2,
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Observation:
    """A prompt in chunks of several tokens, the last one shorter, equals the uncached forward pass.

    Shapes: tokens (batch, length) -> logits (batch, length, V); in all chunks but the first there are
            more keys than queries.
    Units:  shape gives length, chunk, batch, and sizes of the model together.
    """
    sizes = {"length": length, "chunk": chunk, "batch": batch, **(shape or {})}
    chunk = sizes.pop("chunk")
    config, tensors, tokens, want = _whole(case, sizes, weights, model, model_type)
    return Observation(logits=(run(subject.load(config, tensors), tokens, in_chunks(tokens.shape[1], chunk)), want))


def chunked_stages(
    subject: Any,
    case: Case,
    *,
    replaced: bool = False,
    length: int = 37,
    chunk: int = 8,
    batch: int = 2,
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Stages:
    """(stage, got, want): the first chunk, then each other one; `replaced` as in `piece_stages`."""
    sizes = {"length": length, "chunk": chunk, "batch": batch, **(shape or {})}
    chunk = sizes.pop("chunk")
    config, tensors, tokens, want = _whole(case, sizes, weights, model, model_type)
    return piece_stages(subject.load(config, tensors), tokens, in_chunks(tokens.shape[1], chunk), want, replaced)


def left_padded(
    subject: Any,
    case: Case,
    *,
    length: int = 13,
    pad: int = 5,
    steps: int,
    order: Sequence[int] = (0, 1, 2),
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Observation:
    """Rows of a left-padded batch, prefilled and decoded together, equal each row alone without padding.

    One row for each number of `order`, of length - number * pad tokens (at least 1), so that lengths fall, rise or
    neither; padding positions hold random tokens. After the prompt come `steps` single tokens and then two at once.
    Shapes: -> logits (real tokens of all rows, V).
    Units:  shape gives length, pad, order, and sizes of the model together.
    """
    sizes = {"length": length, "pad": pad, "order": order, **(shape or {})}
    config, tensors, tokens, want, lengths = _padded(case, sizes, steps, weights, model, model_type)
    got = run(subject.load(config, tensors), tokens, _padded_pieces(tokens, steps), lengths)
    rows = [(got[i, -(n + steps + 2) :], want[i, -(n + steps + 2) :]) for i, n in enumerate(lengths)]
    return Observation(logits=tuple(np.concatenate(part) for part in zip(*rows, strict=True)))


def left_padded_stages(
    subject: Any,
    case: Case,
    *,
    replaced: bool = False,
    length: int = 13,
    pad: int = 5,
    steps: int,
    order: Sequence[int] = (0, 1, 2),
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Stages:
    """(stage, got, want) for each row's prompt and the tokens behind it; with `replaced` every row runs alone."""
    sizes = {"length": length, "pad": pad, "order": order, **(shape or {})}
    config, tensors, tokens, want, lengths = _padded(case, sizes, steps, weights, model, model_type)
    loaded, pieces = subject.load(config, tensors), _padded_pieces(tokens, steps)
    return row_stages(loaded, tokens, pieces, lengths, want, replaced)


def second_request(
    subject: Any,
    case: Case,
    *,
    first: int = 19,
    second: int = 5,
    steps: int,
    batches: Sequence[int] = (2, 2),
    together: bool = False,
    shape: Mapping[str, Any] | None = None,
    weights: str | None = None,
    model: dict[str, Any] | None = None,
    model_type: str = "qwen2",
) -> Observation:
    """Two requests on one model do not affect each other: both requests' logits equal the reference's.

    `first` and `second` are the prompts' lengths; both requests decode `steps` tokens. With `together` both
    requests decode alternately after the second prefill, so that two caches are in use.
    Shapes: -> earlier (batches[0], first + steps, V), later (batches[1], second + steps, V).
    Units:  shape gives first, second, batches, and sizes of the model together.
    """
    sizes = {"first": first, "second": second, "batches": batches, **(shape or {})}
    first, second, batches = (sizes.pop(name) for name in ("first", "second", "batches"))
    config, tensors = _model(case, weights, {**(model or {}), **sizes}, model_type)
    loaded = subject.load(config, tensors)
    requests, wants = [], []
    for name, prompt, batch in (("earlier", first, batches[0]), ("later", second, batches[1])):
        tokens = case.integers(name, (batch, prompt + steps), 0, config["vocab_size"])
        wants.append(case.once(_one_shot, config, tensors, tokens, [prompt + steps] * batch))
        requests.append(Request(loaded, tokens, [prompt] + [1] * steps))
    turns = [0] + [1, 0] * steps + [1] if together else [0] * (steps + 1) + [1] * (steps + 1)
    for turn in turns:
        requests[turn].advance()
    earlier, later = (np.concatenate(request.logits, axis=1) for request in requests)
    return Observation(earlier=(earlier, wants[0]), later=(later, wants[1]))


def far(
    subject: Any, case: Case, *, length: int, model: dict[str, Any], tail: int = 10, chunk: int = 64
) -> Observation:
    """The last `tail` of many tokens, decoded singly behind chunks of a prompt; a model of one layer.

    Shapes: tokens (1, length) -> logits (1, tail, V).
    """
    config, tensors = _model(case, None, model, "llama")
    tokens = case.integers("tokens", (1, length), 0, config["vocab_size"])
    want = case.once(_behind, config, tensors, tokens, length - tail)
    sizes = in_chunks(length - tail, chunk) + [1] * tail
    return Observation(logits=(run(subject.load(config, tensors), tokens, sizes)[:, -tail:], want))


def _behind(config: Config, weights: Weights, tokens: np.ndarray, start: int) -> np.ndarray:
    cache = cache_of_one_layer(config, weights, tokens[:, :start])
    return decode(config, weights, tokens[:, start:], cache)[0]


def drift(subject: Any, case: Case, *, prompt: int, steps: int, weights: str, batch: int = 2) -> Observation:
    """Error along a cached decoding of many tokens, over the error of the subject's uncached forward pass.

    Every subject decodes the tokens that the reference chooses greedily, so that different choices do not
    affect the errors.
    Shapes: -> logits (batch, prompt + steps, V); series rel_l2_err and one_shot, one value per position.
    """
    config, tensors = read_checkpoint(str(weights), case.dtype)
    start = case.integers("tokens", (batch, prompt), 0, config["vocab_size"])
    tokens, want = case.once(_greedy, str(weights), case.dtype, start, steps)
    loaded = subject.load(config, tensors)
    got = run(loaded, tokens, [prompt] + [1] * steps)
    cached, full = (_errors(x, want) for x in (got, loaded.logits(tokens)))
    over = float(np.sqrt(np.mean(cached[prompt:] ** 2) / np.mean(full[prompt:] ** 2)))
    return Observation(
        logits=(got, want),
        cached_over_full=over,
        series={"rel_l2_err": cached, "rel_l2_err_one_shot": full},
    )


def _model(case: Case, weights: str | None, model: dict[str, Any] | None, model_type: str) -> tuple[Config, Weights]:
    if weights is not None:
        return read_checkpoint(str(weights), case.dtype)
    if model_type == "qwen3_5_text":
        config = hybrid_config(**(model or {}))
        return config, hybrid_weights(case, config)
    config = synthetic_config(model_type=model_type, **(model or {}))
    return config, case_weights(case, config)


def _whole(
    case: Case, sizes: dict[str, Any], weights: str | None, model: dict[str, Any] | None, model_type: str
) -> tuple[Config, Weights, np.ndarray, np.ndarray]:
    """Config, weights, tokens (batch, length), and the reference's logits; the other sizes are the model's."""
    length, batch = sizes.pop("length"), sizes.pop("batch")
    config, tensors = _model(case, weights, {**(model or {}), **sizes}, model_type)
    tokens = first_twice(case.integers("tokens", (batch, length), 0, config["vocab_size"]))
    return config, tensors, tokens, case.once(_one_shot, config, tensors, tokens, [length] * batch)


def _padded(
    case: Case, sizes: dict[str, Any], steps: int, weights: str | None, model: dict[str, Any] | None, model_type: str
) -> tuple[Config, Weights, np.ndarray, np.ndarray, np.ndarray]:
    """Config, weights, tokens (rows, length + steps + 2), the rows' logits alone, and their prompts' lengths."""
    length, pad, order = (sizes.pop(name) for name in ("length", "pad", "order"))
    config, tensors = _model(case, weights, {**(model or {}), **sizes}, model_type)
    tokens = case.integers("tokens", (len(order), length + steps + 2), 0, config["vocab_size"])
    lengths = np.maximum(length - pad * np.array(order), 1)
    want = case.once(_one_shot, config, tensors, tokens, [int(n) + steps + 2 for n in lengths])
    return config, tensors, tokens, want, lengths


def _padded_pieces(tokens: np.ndarray, steps: int) -> list[int]:
    return [tokens.shape[1] - steps - 2] + [1] * steps + [2]


def _one_shot(config: Config, weights: Weights, tokens: np.ndarray, lengths: list[int]) -> np.ndarray:
    """Reference logits of each row's last `length` tokens alone, NaN before. Shapes: tokens (B, T) -> (B, T, V)."""
    out = np.full((*tokens.shape, config["vocab_size"]), np.nan)
    for i, length in enumerate(lengths):
        out[i, -length:] = logits_of(config)(config, weights, tokens[i : i + 1, -length:])[0]
    return out


def _greedy(folder: str, dtype: str, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The reference's greedy continuation. Shapes: start (B, P) -> tokens (B, P + steps), logits (B, P + steps, V)."""
    config, weights = read_checkpoint(folder, dtype)
    logits, cache = prefill(config, weights, start)
    tokens, seen = [start], [logits]
    for _ in range(steps):
        tokens.append(seen[-1][:, -1:].argmax(axis=-1))
        logits, cache = decode(config, weights, tokens[-1], cache)
        seen.append(logits)
    return np.concatenate(tokens, axis=1), np.concatenate(seen, axis=1)


def _errors(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Relative L2 error per position. Shapes: (B, T, V) twice -> (T,)."""
    return np.linalg.norm(got.astype(np.float64) - want, axis=(0, 2)) / np.linalg.norm(want, axis=(0, 2))
