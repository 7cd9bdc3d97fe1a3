"""Falsifiers of the KV cache: a prompt split anywhere, in chunks, padded, or after another request.

Each model is either a checkpoint folder (`weights`) or a synthetic one with random weights (`model`, the
arguments of `falsifiers.inputs.synthetic_model.synthetic_config` except model_type). A falsifier only passes the
subject's caches back to it. The expected logits are the reference's for each row alone, without a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.cache_requests import Request, Stages, in_chunks, piece_stages, row_stages, run
from harness.falsifiers.inputs.cached_models import cached_model, padded_batch, turns_of, two_requests, whole_prompt
from harness.falsifiers.inputs.checkpoint import read_checkpoint
from harness.falsifiers.inputs.synthetic_model import Config, Weights
from harness.observation import Observation
from harness.reference.model.decoder_cache import cache_of_one_layer, decode, prefill

MEASURES = {
    "cached_over_full": "error of cached decoding over error of the subject's own uncached forward pass, same tokens",
}
DRIFT_STAGES = 4
"""How many tokens behind the prompt are stages of `drift`; each runs one prefill of its own."""


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
    config, tensors, tokens, want = whole_prompt(case, **sizes, weights=weights, model=model, model_type=model_type)
    loaded, length = subject.load(config, tensors), tokens.shape[1]
    got = [run(loaded, tokens, [split] + [1] * (length - split)) for split in range(1, length)]
    return Observation(logits=(np.stack(got), np.broadcast_to(want, (length - 1, *want.shape))))


def every_split_stages(subject: Any, case: Case, *, replaced: bool = False, **asked: Any) -> Stages:
    """(stage, got, want): a prefill of half the tokens, then three single ones; `replaced` as in `piece_stages`."""
    config, tensors, tokens, want = whole_prompt(case, **_asked(every_split, asked))
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
    config, tensors, tokens, want = whole_prompt(case, **sizes, weights=weights, model=model, model_type=model_type)
    return Observation(logits=(run(subject.load(config, tensors), tokens, in_chunks(tokens.shape[1], chunk)), want))


def chunked_stages(subject: Any, case: Case, *, replaced: bool = False, **asked: Any) -> Stages:
    """(stage, got, want): the first chunk, then each other one; `replaced` as in `piece_stages`."""
    params = _asked(chunked, asked)
    chunk = params.pop("chunk")
    config, tensors, tokens, want = whole_prompt(case, **params)
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
    about: dict[str, Any] = {"weights": weights, "model": model, "model_type": model_type}
    config, tensors, tokens, want, lengths = padded_batch(case, **sizes, steps=steps, **about)
    got = run(subject.load(config, tensors), tokens, _padded_pieces(tokens, steps), lengths)
    rows = [(got[i, -(n + steps + 2) :], want[i, -(n + steps + 2) :]) for i, n in enumerate(lengths)]
    return Observation(logits=tuple(np.concatenate(part) for part in zip(*rows, strict=True)))


def left_padded_stages(subject: Any, case: Case, *, replaced: bool = False, **asked: Any) -> Stages:
    """(stage, got, want) for each row's prompt and the tokens behind it; with `replaced` every row runs alone."""
    params = _asked(left_padded, asked)
    config, tensors, tokens, want, lengths = padded_batch(case, **params)
    loaded, pieces = subject.load(config, tensors), _padded_pieces(tokens, params["steps"])
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
    about: dict[str, Any] = {"weights": weights, "model": model, "model_type": model_type}
    config, tensors, asked = two_requests(case, **sizes, steps=steps, **about)
    loaded = subject.load(config, tensors)
    requests = [Request(loaded, each.tokens, each.pieces) for each in asked]
    for turn in turns_of(steps, together):
        requests[turn].advance()
    earlier, later = (np.concatenate(request.logits, axis=1) for request in requests)
    return Observation(earlier=(earlier, asked[0].want), later=(later, asked[1].want))


def second_request_stages(subject: Any, case: Case, *, replaced: bool = False, **asked: Any) -> Stages:
    """(stage, got, want) for each request's prompt and the tokens behind it; with `replaced` each has its own model."""
    params = _asked(second_request, asked)
    turns = turns_of(params["steps"], params.pop("together"))
    config, tensors, both = two_requests(case, **params)
    shared = None if replaced else subject.load(config, tensors)
    requests = [Request(shared or subject.load(config, tensors), each.tokens, each.pieces) for each in both]
    for turn in turns:
        requests[turn].advance()
    stages: Stages = []
    for each, request in zip(both, requests, strict=True):
        prompt, behind = request.logits[0], np.concatenate(request.logits[1:], axis=1)
        length = prompt.shape[1]
        stages.append((f"{each.name}, prefill", prompt, each.want[:, :length]))
        stages.append((f"{each.name}, decode", behind, each.want[:, length:]))
    return stages


def far(
    subject: Any, case: Case, *, length: int, model: dict[str, Any], tail: int = 10, chunk: int = 64
) -> Observation:
    """The last `tail` of many tokens, decoded singly behind chunks of a prompt; a model of one layer.

    Shapes: tokens (1, length) -> logits (1, tail, V).
    """
    config, tensors = cached_model(case, None, model, "llama")
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


def drift_stages(subject: Any, case: Case, *, replaced: bool = False, **asked: Any) -> Stages:
    """(stage, got, want): the prompt, then the first tokens behind it; `replaced` as in `piece_stages`."""
    params = _asked(drift, asked)
    config, tensors = read_checkpoint(str(params["weights"]), case.dtype)
    start = case.integers("tokens", (params["batch"], params["prompt"]), 0, config["vocab_size"])
    tokens, want = case.once(_greedy, str(params["weights"]), case.dtype, start, params["steps"])
    pieces = [params["prompt"]] + [1] * min(DRIFT_STAGES, params["steps"])
    return piece_stages(subject.load(config, tensors), tokens, pieces, want, replaced)


def _asked(falsifier: Callable[..., Any], params: dict[str, Any]) -> dict[str, Any]:
    """A case's parameters with the falsifier's own defaults, those that `shape` holds as parameters of their own."""
    found = {**(falsifier.__kwdefaults__ or {}), **params}
    shape = found.pop("shape", None) or {}
    return {**found, **shape}


def _padded_pieces(tokens: np.ndarray, steps: int) -> list[int]:
    return [tokens.shape[1] - steps - 2] + [1] * steps + [2]


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
