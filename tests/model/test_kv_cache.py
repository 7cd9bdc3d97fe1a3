"""The KV cache: reference, candidates, baseline and mutants through the falsifiers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.candidates import torch as eager
from harness.candidates import torch_sdpa
from harness.case import Case
from harness.dtypes import FORMATS, round_to
from harness.falsifiers.baselines.transformers import decoder, long_decoder
from harness.falsifiers.model import kv_cache
from harness.falsifiers.model.decoder import synthetic_config
from harness.falsifiers.model.mutants import kv_cache as kv_cache_mutants
from harness.mutant import Inapplicable, mutants_of
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.decoder_cache import cache_of_one_layer, decode, prefill
from harness.reference.random_weights import random_weights
from harness.subject.boundary import Boundary
from harness.subject.trace import Trace
from tests.support.cpu_boundary import boundary
from tests.support.distance import rel_l2
from tests.support.model.small_decoder import MODEL

MUTANTS = mutants_of(kv_cache_mutants)
SIZES = {name: value for name, value in MODEL.items() if name != "model_type"}
CONFIG = synthetic_config(**MODEL)
WEIGHTS = random_weights(CONFIG, 0)
TOKENS = np.random.default_rng(1).integers(0, 67, (3, 11))
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "split": (kv_cache.every_split, {"length": 5, "model": SIZES}),
    "chunk": (kv_cache.chunked, {"length": 19, "chunk": 8, "model": SIZES}),
    "padded": (kv_cache.left_padded, {"length": 7, "pad": 3, "steps": 2, "model": SIZES}),
    "sorted": (kv_cache.left_padded, {"length": 7, "pad": 2, "steps": 2, "order": [2, 0, 1], "model": SIZES}),
    "second": (kv_cache.second_request, {"first": 9, "second": 4, "steps": 2, "model": SIZES}),
    "together": (kv_cache.second_request, {"first": 9, "second": 4, "steps": 2, "model": SIZES, "together": True}),
}
FAR: tuple[Callable[..., Any], dict[str, Any]] = (
    kv_cache.far,
    {"length": 33333, "chunk": 512, "model": {**SIZES, "layers": 1}},
)
KILLED_BY = {
    "position_off_by_one": "split",
    "positions_restart": "chunk",
    "one_position_for_all_rows": "padded",
    "pad_mask_dropped": "padded",
    "mask_top_left": "split",
    "chunk_sees_its_future": "chunk",
    "wrong_slot": "split",
    "last_token_dropped": "split",
    "values_overwritten_by_keys": "split",
    "kept_in_bfloat16": "split",
    "rope_twice": "split",
    "previous_request_kept": "second",
    "one_cache_for_all": "together",
    "left_sorted_by_length": "sorted",
}


def error(target: Any, call: str, dtype: str) -> float:
    """The worst pair's relative L2 error."""
    falsifier, given = {**CALLS, "far": FAR}[call]
    trace = Trace()
    seen = falsifier(boundary(target, dtype, trace), Case(dtype=dtype), **given)
    assert [trace.dtypes_wrong, trace.inputs_changed, trace.outputs_changed()] == [[], [], []]
    return float(np.max([rel_l2(got, want) for got, want in seen.pairs.values()]))


@pytest.mark.parametrize("sizes", [[1] * 11, [4, 1, 6], [8, 3], [10, 1]])
def test_reference_in_pieces_equals_its_own_one_shot(sizes: list[int]) -> None:
    pieces = np.split(TOKENS, np.cumsum(sizes)[:-1], axis=1)
    first, cache = prefill(CONFIG, WEIGHTS, pieces[0])
    seen = [first]
    for piece in pieces[1:]:
        logits, cache = decode(CONFIG, WEIGHTS, piece, cache)
        seen.append(logits)
    assert np.abs(np.concatenate(seen, axis=1) - decoder_logits(CONFIG, WEIGHTS, TOKENS)).max() <= 1e-13


def test_reference_rows_with_padding_equal_the_rows_alone() -> None:
    lengths = np.array([8, 5, 1])
    logits, cache = prefill(CONFIG, WEIGHTS, TOKENS[:, :8], lengths)
    after, _ = decode(CONFIG, WEIGHTS, TOKENS[:, 8:], cache)
    together = np.concatenate([logits, after], axis=1)
    for i, length in enumerate(lengths):
        start = 8 - length
        assert np.isnan(together[i, :start]).all()
        alone = decoder_logits(CONFIG, WEIGHTS, TOKENS[i : i + 1, start:])[0]
        assert np.abs(together[i, start:] - alone).max() <= 1e-13


def test_reference_does_not_change_a_cache_it_was_given() -> None:
    _, cache = prefill(CONFIG, WEIGHTS, TOKENS[:, :4])
    once, _ = decode(CONFIG, WEIGHTS, TOKENS[:, 4:5], cache)
    again, _ = decode(CONFIG, WEIGHTS, TOKENS[:, 4:5], cache)
    assert np.array_equal(once, again)


@pytest.mark.parametrize("lengths", [[0, 1, 1], [5, 1, 1], [1, 1]])
def test_reference_refuses_lengths_that_do_not_fit(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="expected 3 numbers from 1 to 4"):
        prefill(CONFIG, WEIGHTS, TOKENS[:, :4], np.array(lengths))


def test_reference_refuses_a_cache_of_another_batch() -> None:
    _, cache = prefill(CONFIG, WEIGHTS, TOKENS[:, :4])
    with pytest.raises(ValueError, match="found batch 3 and 2 layers, expected 2 and 2"):
        decode(CONFIG, WEIGHTS, TOKENS[:2, 4:], cache)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("target", [eager, torch_sdpa, decoder], ids=["eager", "sdpa", "baseline"])
def test_correct_subjects_equal_the_reference(target: Any, call: str) -> None:
    assert error(target, call, "float64") <= 1e-13
    assert error(target, call, "float32") <= 32 * FORMATS["float32"].unit_roundoff
    assert error(target, call, "bfloat16") <= 8 * FORMATS["bfloat16"].unit_roundoff


def test_every_mutant_has_its_call() -> None:
    assert {*KILLED_BY, "rope_table_wraps", "positions_in_int16", "ring_of_32768"} == set(MUTANTS)


@pytest.mark.parametrize(("name", "call"), KILLED_BY.items())
def test_every_mutant_is_far_outside_the_limits(name: str, call: str) -> None:
    for dtype in ("float64", "float32"):
        assert error(MUTANTS[name](decoder), call, dtype) >= 5e-4


@pytest.mark.parametrize("name", ["rope_table_wraps", "positions_in_int16", "ring_of_32768"])
def test_what_wraps_shows_only_in_a_long_text(name: str) -> None:
    assert error(long_decoder, "far", "float64") <= 1e-12
    wrong = MUTANTS[name](long_decoder)
    assert error(wrong, "far", "float64") >= 1e-6
    assert error(MUTANTS[name](decoder), "chunk", "float64") <= 1e-13


def test_a_cache_without_attention_is_the_prompts_own() -> None:
    one = synthetic_config(**{**MODEL, "layers": 1})
    weights = random_weights(one, 0)
    whole, found = prefill(one, weights, TOKENS)[1], cache_of_one_layer(one, weights, TOKENS)
    for got, want in zip(found.blocks[0][0], whole.blocks[0][0], strict=True):
        assert np.array_equal(got, want)
    with pytest.raises(ValueError, match="expected one"):
        cache_of_one_layer(CONFIG, WEIGHTS, TOKENS)


def test_a_second_request_shows_only_behind_a_longer_one() -> None:
    wrong = MUTANTS["previous_request_kept"](decoder)
    assert error(wrong, "chunk", "float64") <= 1e-13
    assert error(wrong, "second", "float64") >= 1e-1


def test_a_bfloat16_cache_is_no_bug_of_a_bfloat16_run() -> None:
    with pytest.raises(Inapplicable, match="no wider than bfloat16"):
        error(MUTANTS["kept_in_bfloat16"](decoder), "split", "bfloat16")


def test_drift_keeps_two_curves_and_follows_the_reference_tokens(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file({name: round_to(w, "float32") for name, w in WEIGHTS.items()}, tmp_path / "model.safetensors")

    def seen(target: Any) -> Any:
        boundary = Boundary(target, role="subject", dtype="float32", device="cpu", trace=Trace())
        return kv_cache.drift(boundary, Case(), prompt=5, steps=6, weights=str(tmp_path))

    right, wrong = seen(eager), seen(MUTANTS["kept_in_bfloat16"](decoder))
    assert 0.3 <= right.scalars["cached_over_full"] <= 1.5
    assert wrong.scalars["cached_over_full"] >= 100
    assert [len(curve) for curve in right.series.values()] == [11, 11]
    assert np.max(wrong.series["rel_l2_err"][:5]) <= 1e-6 <= np.min(wrong.series["rel_l2_err"][5:])
    assert np.array_equal(right.pairs["logits"][1], wrong.pairs["logits"][1])
