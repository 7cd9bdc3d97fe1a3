"""Stages of KV caches and of the delta net: the piece, row or state that is wrong is named, and no other first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.candidates.torch.model import decoder as candidate
from harness.candidates.torch.model import gated_delta_net as candidate_layer
from harness.case import Case
from harness.falsifiers.baselines.transformers import decoder, gdn
from harness.falsifiers.model import gated_delta_net, kv_cache
from harness.falsifiers.model.mutants import gated_delta_net as layer_mutants
from harness.falsifiers.model.mutants import kv_cache as cache_mutants
from harness.localisation import convicted, error_u
from harness.mutant import mutants_of
from tests.support.cpu_boundary import boundary
from tests.support.model.small_decoder import MODEL

SIZES = {name: value for name, value in MODEL.items() if name != "model_type"}
PADDED = {"length": 7, "pad": 2, "steps": 2, "order": [1, 0, 2], "model": SIZES}
TENANT = {"first": 7, "second": 3, "steps": 2, "batches": [1, 1], "model": SIZES}
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "split": (kv_cache.every_split_stages, {"length": 9, "model": SIZES}),
    "chunk": (kv_cache.chunked_stages, {"length": 19, "chunk": 8, "model": SIZES}),
    "padded": (kv_cache.left_padded_stages, PADDED),
    "tenant": (kv_cache.second_request_stages, {**TENANT, "together": False}),
    "tenants": (kv_cache.second_request_stages, {**TENANT, "together": True}),
    "layer": (gated_delta_net.forward_stages, {"key_heads": 2, "per_key": 2, "length": 7, "started": True}),
    "layer split": (gated_delta_net.split_stages, {"key_heads": 1, "per_key": 2, "length": 67}),
}
WRONG: list[tuple[str, str, str, bool]] = [
    ("position_off_by_one", "split", "decode.1", True),
    ("last_token_dropped", "split", "decode.1", True),
    ("wrong_slot", "split", "decode.2", False),
    ("chunk_sees_its_future", "chunk", "decode.1", True),
    ("pad_mask_dropped", "padded", "row.0 of 5 tokens, prefill", False),
    ("left_sorted_by_length", "padded", "row.0 of 5 tokens, prefill", False),
    ("previous_request_kept", "tenant", "later, decode", False),
    ("one_cache_for_all", "tenants", "earlier, decode", False),
    ("position_off_by_one", "tenant", "earlier, decode", True),
    ("gate_by_sigmoid", "layer", "token.0.out", True),
    ("decay_grows", "layer", "token.0.state", True),
    ("gates_per_key_head", "layer", "token.0.state", True),
    ("history_ignored", "layer", "token.0.conv_state", True),
    ("state_reset_at_a_chunk", "layer split", "all.state", True),
]


def blamed(target: Any, call: str) -> Any:
    """What localisation says of a subject."""
    stages, given = CALLS[call]

    def errors(replaced: bool) -> dict[str, float]:
        found = stages(boundary(target, "float32"), Case(dtype="float32"), replaced=replaced, **given)
        return {name: error_u(got, want, "float32") for name, got, want in found}

    return convicted(errors(True), errors(False))


@pytest.mark.parametrize("call", CALLS)
def test_no_stage_of_a_right_subject_is_blamed(call: str) -> None:
    right = {"layer": (candidate_layer, gdn), "layer split": (candidate_layer, gdn)}.get(call, (candidate, decoder))
    for target in right:
        assert blamed(target, call) == {"first_divergent": None, "independently_bad": []}


@pytest.mark.parametrize(("name", "call", "stage", "alone"), WRONG)
def test_the_stage_that_is_wrong_is_blamed_first(name: str, call: str, stage: str, alone: bool) -> None:
    mutants = {**mutants_of(cache_mutants), **mutants_of(layer_mutants)}
    mutant = mutants_of(cache_mutants)[name] if "layer" not in call else mutants[name]
    found = blamed(mutant(gdn if "layer" in call else decoder), call)
    assert found["first_divergent"] == stage
    assert bool(found["independently_bad"]) == alone
