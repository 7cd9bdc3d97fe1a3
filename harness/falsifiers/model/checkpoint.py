"""Falsifiers of a checkpoint of any family: its logits, and whether every key of its config is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.case import Case
from harness.falsifiers.inputs.cache_requests import run
from harness.falsifiers.inputs.checkpoint import OtherArchitecture, read_checkpoint, undeclared
from harness.falsifiers.inputs.config_keys import Turn, not_turned, turns
from harness.falsifiers.inputs.synthetic_model import case_tokens
from harness.falsifiers.model.decoder import Stages, layouts_of, stages_of
from harness.observation import Observation
from harness.reference.model.decoder import decoder_logits

MEASURES = {
    "by_transformers": "1 if transformers in float64 is the reference, because ours does not declare the model",
    "not_followed": "number of changed keys after which the logits differ from the reference by a hundredth or more of "
    "the key's effect",
    "moved_least": "smallest share by which a changed key moves the reference's logits, of the keys that move them",
    "keys_seen": "number of keys whose change moves the reference's logits",
    "keys_not_seen": "number of keys whose change moves no logit of these tokens",
    "keys_refused": "number of changed keys with which the subject says in one line that it does not load a model",
}
REFUSALS = (ValueError, NotImplementedError)
VISIBLE = 1e-9
"""Share of the logits from which on float64 shows that a key matters."""


def parity(
    subject: Any, case: Case, *, weights: str, length: int, batch: int = 2, family: str | None = None
) -> Observation:
    """Logits of a Hugging Face checkpoint folder, its weights rounded to the case's dtype, on random token ids.

    Units:  family names a subfolder of the weights, so that a claim can explore many; the folder itself without it.
    Shapes: tokens (batch, length) -> logits (batch, length, vocab).
    Raises: UserError naming the key or tensor if the reference cannot run the folder's checkpoint.
    """
    folder = _folder(weights, family)
    config, tensors = read_checkpoint(folder, case.dtype, any_family=True)
    tokens = case_tokens(case, config, batch, length)
    want = case.once(_logits, folder, case.dtype, tokens)
    got = subject.load(config, tensors).logits(tokens)
    return Observation(logits=(got, want), by_transformers=bool(undeclared(config)))


def parity_stages(
    subject: Any,
    case: Case,
    *,
    weights: str,
    length: int,
    batch: int = 2,
    family: str | None = None,
    replaced: bool = False,
) -> Stages:
    """(stage, got, want) in order, for the checkpoint and tokens of `parity`.

    Shapes: as in `reference.model.decoder.stage_names`, without the stages that the subject does not return.
    """
    folder = _folder(weights, family)
    config, tensors = read_checkpoint(folder, case.dtype, any_family=True)
    if undeclared(config):
        return []
    return stages_of(subject, case, config, tensors, case_tokens(case, config, batch, length), replaced)


def parity_layouts(
    subject: Any, case: Case, *, weights: str, length: int, stage: str, batch: int = 2, family: str | None = None
) -> Stages:
    """`layouts_of` for the checkpoint and tokens of `parity`."""
    config, tensors = read_checkpoint(_folder(weights, family), case.dtype, any_family=True)
    return layouts_of(subject, case, config, tensors, case_tokens(case, config, batch, length), stage)


def cached(
    subject: Any, case: Case, *, weights: str, shape: Mapping[str, int], family: str | None = None
) -> Observation:
    """A prompt of `split` tokens and single ones behind it, and a batch with one row padded by `pad` on the left.

    Units:  shape gives length, split and pad, which a contract explores together.
    Shapes: tokens (2, length) -> logits (2, length, vocab) of each row alone and at once, NaN at padding.
    """
    folder = _folder(weights, family)
    config, tensors = read_checkpoint(folder, case.dtype, any_family=True)
    length, split, pad = shape["length"], shape["split"], shape["pad"]
    tokens = case_tokens(case, config, 2, length)
    whole = case.once(_logits, folder, case.dtype, tokens)
    short = case.once(_logits, folder, case.dtype, tokens[1:, pad:])
    loaded = subject.load(config, tensors)
    sizes = [split] + [1] * (length - split)
    padded = run(loaded, tokens, sizes, np.array([split, split - pad]))
    return Observation(
        logits=(run(loaded, tokens, sizes), whole), padded=(padded[0], whole[0]), row=(padded[1, pad:], short[0])
    )


def threading(
    subject: Any, case: Case, *, weights: str, length: int, batch: int = 2, family: str | None = None
) -> Observation:
    """Every key of the config that the family reads, changed alone: the subject's logits follow the reference's.

    A key that moves no logit of these tokens is counted, and named in the claim's log.
    Shapes: tokens (batch, length), longer than windows and original contexts.
    """
    folder = _folder(weights, family)
    config, tensors = read_checkpoint(folder, case.dtype, any_family=True)
    if undeclared(config):
        raise OtherArchitecture(f"the reference does not declare this model ({undeclared(config)})")
    tokens = case_tokens(case, config, batch, length)
    plain = case.once(_logits, folder, case.dtype, tokens)
    seen, hidden, lost, refused = list[float](), list[str](), list[str](), list[str]()
    for turn in turns(config):
        want = case.once(_turned, folder, case.dtype, tokens, turn)
        moved = float(np.linalg.norm(want - plain) / np.linalg.norm(plain))
        if not moved > VISIBLE:
            hidden.append(turn.name)
            continue
        try:
            got = subject.load(turn.config, tensors).logits(tokens)
        except REFUSALS:
            refused.append(turn.name)
            continue
        seen.append(moved)
        if not np.linalg.norm(got - want) < 0.01 * np.linalg.norm(want - plain):
            lost.append(turn.name)
    left = ("another value is refused, or asks for other tensors", not_turned(config))
    for what, names in (("no logit shows", hidden), ("refused", refused), left):
        if names:
            print(f"{what}: {', '.join(names)}")
    return Observation(
        not_followed=len(lost),
        moved_least=min(seen, default=0.0),
        keys_seen=len(seen),
        keys_not_seen=len(hidden),
        keys_refused=len(refused),
        where={"not_followed": ", ".join(lost)},
    )


def _folder(weights: str, family: str | None) -> str:
    return str(weights) if family is None else str(Path(weights) / family)


# One entry per dtype, because a claim's cases alternate between dtypes and reading the folder is slow.
def _logits(folder: str, dtype: str, tokens: np.ndarray) -> np.ndarray:
    config, weights = read_checkpoint(folder, dtype, any_family=True)
    if not undeclared(config):
        return decoder_logits(config, weights, tokens)
    from harness.falsifiers.baselines.transformers.any_decoder import logits_in_float64

    return logits_in_float64(config, weights, tokens)


def _turned(folder: str, dtype: str, tokens: np.ndarray, turn: Turn) -> np.ndarray:
    return decoder_logits(turn.config, read_checkpoint(folder, dtype, any_family=True)[1], tokens)
