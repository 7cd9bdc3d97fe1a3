"""Falsifier of stage localisation: it must name the stage with a planted fault, and no other."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.case import Case
from harness.dtypes import FORMATS, round_to
from harness.falsifiers.inputs.synthetic_model import Config, Weights, case_tokens, case_weights, small_config
from harness.localisation import Convicted, convicted, error_u
from harness.observation import Observation
from harness.reference.model.decoder import decoder_forward, stage_names

LENGTH = 9


def planted_fault(
    subject: Any, case: Case, *, stage: str, also: str, fault_u: float, model_type: str, tied: bool
) -> Observation:
    """Localise a fault in one stage (and in `also`, unless empty) of the subject's decoder.

    `stage` and `also` are `embed`, `final_norm`, `logits`, or a layer's stage; the fault is planted in layer 0 and
    then in layer 1. Pairs, all exact: `first`, the index of the first divergent stage; `bad`, which stages
    are independently bad; `heard`, whether the fault changed the logits; `kept`, whether a replaced stage
    (the first planted) still returns its own computed value.
    Units:  fault_u is the fault's relative L2 size in unit round-offs of the case's dtype.
    """
    config = small_config(model_type=model_type, tied=tied)
    weights, tokens = case_weights(case, config), case_tokens(case, config, 2, LENGTH)
    names = stage_names(config)
    given, alone_want, want = case.once(_reference, config, weights, tokens, case.dtype)
    model = subject.load(config, weights)
    plain, own = model.stages(tokens), model.stages(tokens, replace=given)
    first, bad, heard, kept = [], [], [], []
    for layer in range(config["num_hidden_layers"]):
        planted = {name: fault_u for name in names if name in {_at(layer, stage), _at(layer, also or stage)}}
        alone = {**own, **{name: _spoilt(case, name, own[name], size) for name, size in planted.items()}}
        seen, wrong = plain, {}
        for name, size in planted.items():
            wrong[name] = _spoilt(case, name, seen[name], size)
            seen = model.stages(tokens, replace=wrong)
        through = {**seen, **wrong}
        found = _named(
            subject,
            {name: error_u(alone[name], alone_want[name], case.dtype) for name in names},
            {name: error_u(through[name], want[name], case.dtype) for name in names},
        )
        first.append(_index(names, found["first_divergent"]))
        bad.append([int(name in found["independently_bad"]) for name in names])
        heard.append(int(not np.array_equal(through["logits"], plain["logits"])))
        kept.append(int(np.array_equal(seen[next(iter(wrong))], plain[next(iter(wrong))])))
    want_planted = [{_at(i, stage), _at(i, also or stage)} for i in range(config["num_hidden_layers"])]
    return Observation(
        first=(np.array(first), np.array([min(names.index(n) for n in p) for p in want_planted])),
        bad=(np.array(bad), np.array([[int(n in p) for n in names] for p in want_planted])),
        heard=(np.array(heard), np.ones(len(heard), dtype=np.int64)),
        kept=(np.array(kept, dtype=np.int64), np.ones(len(kept), dtype=np.int64)),
    )


def _spoilt(case: Case, name: str, value: np.ndarray, fault_u: float) -> np.ndarray:
    """Add noise to the value's last row, of fault_u unit round-offs of the whole value; zeros in the row stay 0."""
    out = value.astype(np.float64)
    row = out[..., -1, :]
    noise = case.stream(f"fault {name}").standard_normal(row.shape) * (row != 0)
    size = fault_u * FORMATS[case.dtype].unit_roundoff * np.linalg.norm(out)
    row += noise * size / np.linalg.norm(noise)
    return round_to(out, case.dtype)


def _reference(config: Config, weights: Weights, tokens: np.ndarray, dtype: str) -> tuple[Any, Any, Any]:
    """The reference's rounded values (the replacements), its stages computed from these, and its plain stages."""
    want = decoder_forward(config, weights, tokens)[1]
    given = {name: round_to(value, dtype) for name, value in want.items()}
    return given, decoder_forward(config, weights, tokens, replace=given)[1], want


def _named(subject: Any, alone: dict[str, float], through: dict[str, float]) -> Convicted:
    """The subject's own rule if it has one (mutants do, with wrong rules), else the harness's."""
    named: Convicted = (subject.convicted if subject.offers("convicted") else convicted)(alone, through)
    return named


def _at(layer: int, stage: str) -> str:
    return stage if stage in ("embed", "final_norm", "logits") else f"layers.{layer}.{stage}"


def _index(names: list[str], stage: str | None) -> int:
    return names.index(stage) if stage in names else -1
