"""Every declared family against transformers in float64; what it cannot read is refused by key or tensor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoConfig

from harness.case import Case
from harness.falsifiers.baselines.transformers import decoder as transformers_decoder
from harness.falsifiers.inputs.checkpoint import OtherArchitecture
from harness.falsifiers.inputs.config_keys import not_turned, turns
from harness.falsifiers.model.checkpoint import parity, threading
from harness.falsifiers.model.mutants.checkpoint import MUTANTS
from harness.models.families import FAMILIES as FOLDERS
from harness.models.families.folder import write
from harness.mutant import Inapplicable, NotRun
from harness.reference.model.attention import Places
from harness.reference.model.decoder import decoder_forward, decoder_logits, stage_names
from harness.reference.model.decoder_cache import decode, prefill
from harness.reference.model.families import FAMILIES, declare
from tests.support.cpu_boundary import boundary
from tests.support.distance import rel_l2
from tests.support.model import in_float64

LENGTH = 37
"""Past every window, chunk and original context of the small folders."""
UNDECLARED = {"gemma4_text": ("experts", "shared")}
"""Variants with parts that the reference does not declare."""
VARIANTS = [
    (family, variant)
    for number in range(max(len(FOLDERS[family].variants) for family in FAMILIES))
    for family in FAMILIES
    for variant in list(FOLDERS[family].variants)[number : number + 1]
    if variant not in UNDECLARED.get(family, ())
]
"""The first variant of every family, then the second ones: `make test` runs a sample from the front."""
Model = tuple[Path, dict[str, Any], dict[str, np.ndarray]]


def folder_of(path: Path, family: str, variant: str) -> Model:
    write(family, path, variant)
    return path, json.loads((path / "config.json").read_text()), load_file(path / "model.safetensors")


def tokens_of(config: dict[str, Any]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, config["vocab_size"], (2, LENGTH))


@pytest.mark.sample(26)
@pytest.mark.parametrize(("family", "variant"), VARIANTS)
def test_a_family_is_transformers_own(family: str, variant: str, tmp_path: Path) -> None:
    folder, config, weights = folder_of(tmp_path, family, variant)
    tokens = tokens_of(config)
    want = in_float64.logits(folder, tokens)
    assert rel_l2(decoder_logits(config, weights, tokens), want) < 1e-12
    dynamic = "dynamic" in json.dumps(config)  # keys of a cache keep the frequencies of their time
    head, cache = prefill(config, weights, tokens[:, : LENGTH - 5])
    tail, _ = decode(config, weights, tokens[:, LENGTH - 5 :], cache)
    assert dynamic or rel_l2(np.concatenate([head, tail], axis=1), want) < 1e-12


SCALED = [("llama", "llama3"), ("llama", "dynamic"), ("qwen2", "window"), ("qwen3", "tied"), ("qwen3_5_text", "biased")]


@pytest.mark.parametrize(("family", "variant"), SCALED)
def test_the_baseline_reads_a_scaled_rope(family: str, variant: str, tmp_path: Path) -> None:
    folder, config, _ = folder_of(tmp_path, family, variant)
    seen = parity(
        boundary(transformers_decoder, "float64"), Case(seed=1, dtype="float64"), weights=str(folder), length=LENGTH
    )
    assert rel_l2(*seen.pairs["logits"]) < 1e-12, config["rope_parameters"]


def test_a_gemma_4_ends_with_full_attention(first: dict[str, Model]) -> None:
    config = first["gemma4_text"][1]
    with pytest.raises(ValueError, match="found sliding_attention as the last of layer_types, expected full_attention"):
        declare({**config, "layer_types": [*config["layer_types"][:-1], "sliding_attention"]})


@pytest.fixture(scope="module")
def first(tmp_path_factory: Any) -> dict[str, Model]:
    """The first declared variant of every family."""
    found: dict[str, Model] = {}
    for family, variant in VARIANTS:
        if family not in found:
            found[family] = folder_of(tmp_path_factory.mktemp(family), family, variant)
    return found


def test_stages_are_those_that_are_named_and_a_replaced_one_is_read(first: dict[str, Model]) -> None:
    for family, (_, config, weights) in first.items():
        tokens = tokens_of(config)[:, :9]
        logits, stages = decoder_forward(config, weights, tokens)
        assert list(stages) == stage_names(config), family
        changed = {"final_norm": 2 * stages["final_norm"]}
        assert rel_l2(decoder_forward(config, weights, tokens, replace=changed)[0], logits) > 0.1, family
        assert rel_l2(decoder_forward(config, weights, tokens, replace=stages)[0], logits) == 0, family


class Nothing:
    """Stands for a baseline: a declared mutant replaces all that is asked of it."""


@pytest.mark.sample(13)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_flip_is_seen_or_has_nothing_to_change(family: str, first: dict[str, Model]) -> None:
    _, config, weights = first[family]
    tokens, applied = tokens_of(config), 0
    want = decoder_logits(config, weights, tokens)
    for name, mutant in MUTANTS.items():
        if mutant.__module__.endswith((".keys", ".caches", ".tensors")):
            continue
        try:
            got = mutant(Nothing()).load(config, weights, dtype="float64", device="cpu").logits(tokens)
        except Inapplicable:
            continue
        applied += 1
        assert rel_l2(got, want) > 1e-9, name
    assert applied > 9


def test_no_flip_is_for_nobody(first: dict[str, Model], tmp_path: Path) -> None:
    left = {name: m for name, m in MUTANTS.items() if not m.__module__.endswith((".keys", ".caches", ".tensors"))}
    others = (folder_of(tmp_path / f"{family}-{variant}", family, variant) for family, variant in VARIANTS[26:])
    for _, config, weights in (*first.values(), *others):
        for name in list(left):
            try:
                left[name](Nothing()).load(config, weights, dtype="float64", device="cpu")
            except Inapplicable:
                continue
            del left[name]
        if not left:
            break
    assert not left


def test_a_chunk_is_seen_as_transformers_masks_it() -> None:
    """No declared family has chunks yet; the mask is transformers' own, with and without padding on the left."""
    from transformers.masking_utils import and_masks, causal_mask_function, chunked_overlay

    length, left, chunk = 11, torch.tensor([0, 3]), 4
    theirs = and_masks(chunked_overlay(chunk, left), causal_mask_function)
    real = np.arange(length) >= left.numpy()[:, None]
    ours = Places(real, length).visible(None, chunk)[:, 0]
    for row in range(2):
        for query in range(int(left[row]), length):
            at = torch.tensor(query)
            want = [bool(theirs(row, 0, at, torch.tensor(key))) and bool(real[row, key]) for key in range(length)]
            assert ours[row, query].tolist() == want


def test_where_nothing_is_declared_transformers_is_the_arbiter_and_no_flip_runs(tmp_path: Path) -> None:
    folder, config, weights = folder_of(tmp_path, "exaone4", "plain")
    case = Case(seed=1, dtype="float64")
    seen = parity(boundary(transformers_decoder, "float64"), case, weights=str(folder), length=LENGTH)
    assert seen.scalars == {"by_transformers": 1.0}
    assert rel_l2(*seen.pairs["logits"]) == 0
    with pytest.raises(NotRun, match="found model_type 'exaone4'"):
        MUTANTS["eps_x10"](Nothing()).load(config, weights, dtype="float64", device="cpu")
    with pytest.raises(OtherArchitecture, match="does not declare this model"):
        threading(boundary(transformers_decoder, "float64"), case, weights=str(folder), length=5)


def test_a_key_that_is_not_followed_is_named(first: dict[str, Model]) -> None:
    folder = str(first["gemma2"][0])
    for mutant, key in (("eps_hard_coded", "rms_norm_eps"), ("soft_caps_hard_coded", "final_logit_softcapping")):
        wrong = boundary(MUTANTS[mutant](transformers_decoder), "float64")
        seen = threading(wrong, Case(seed=1, dtype="float64"), weights=folder, length=LENGTH)
        assert seen.scalars["not_followed"] >= 1
        assert key in seen.where["not_followed"]
    refuses = boundary(MUTANTS["changed_keys_refused"](transformers_decoder), "float64")
    assert threading(refuses, Case(seed=1, dtype="float64"), weights=folder, length=5).scalars["keys_seen"] == 0


def test_a_key_in_two_places_is_turned_in_both(first: dict[str, Model]) -> None:
    config = {**first["llama"][1], "rope_theta": first["llama"][1]["rope_parameters"]["rope_theta"]}
    (twice,) = {turn.name.partition(":")[0] for turn in turns(config) if "rope_theta" in turn.name}
    assert sorted(twice.split(" and ")) == ["rope_parameters.rope_theta", "rope_theta"]
    assert "rope_parameters" not in not_turned(config)
    assert "hidden_size" in not_turned(config)


def test_keys_are_turned_one_at_a_time_and_most_are_seen(first: dict[str, Model]) -> None:
    for family, (_, config, weights) in first.items():
        tokens = tokens_of(config)
        want = decoder_logits(config, weights, tokens)
        found = turns(config)
        assert len({turn.name for turn in found}) == len(found)
        seen = [t.name for t in found if rel_l2(decoder_logits(t.config, weights, tokens), want) > 1e-9]
        assert len(seen) >= 3, family


@pytest.mark.parametrize(
    ("family", "change", "words"),
    [
        ("llama", {"alibi": True}, "found alibi True, which the family llama does not read"),
        ("gpt_oss", {"swiglu_limit": 0}, "found swiglu_limit 0, expected a positive"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "found use_bidirectional_attention True"),
        ("deepseek_v3", {"topk_group": 99}, "found 99 of . groups"),
        ("mixtral", {"num_experts_per_tok": 0}, "found num_experts_per_tok 0"),
        ("llama", {"partial_rotary_factor": 0.5}, "found partial_rotary_factor 0.5, this family rotates whole heads"),
        ("qwen2", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "found rope_scaling .* beside rope_parameters"),
        ("qwen3_next", {"hidden_act": "gelu"}, "found hidden_act 'gelu', this decoder supports only 'silu'"),
        ("olmo3", {"sliding_window": None, "layer_types": ["x"]}, "found layer_types"),
        ("granite", {"model_type": "granit"}, "found model_type 'granit', expected one of"),
        ("mamba2", {"expand": 7}, "found expand 7, this decoder supports only"),
    ],
)
def test_what_it_cannot_read_is_refused_by_key(
    family: str, change: dict[str, Any], words: str, first: dict[str, Model]
) -> None:
    with pytest.raises(ValueError, match=words):
        declare({**first[family][1], **change})


def without_one_key(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, the config without it), keys of the RoPE's parameters too."""
    rope = config.get("rope_parameters") or {}
    for key in config.keys() - {"model_type", "transformers_version", "architectures"}:
        yield key, {name: value for name, value in config.items() if name != key}
    for key in rope:
        yield key, {**config, "rope_parameters": {name: value for name, value in rope.items() if name != key}}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_absent_key_means_what_it_means_to_transformers_or_is_refused(family: str, first: dict[str, Model]) -> None:
    asked = 0
    for key, config in without_one_key(first[family][1]):
        try:
            ours = declare(config).decoder
            infinite = json.loads(json.dumps(config).replace('{"__float__": "Infinity"}', "Infinity"))
            whole = AutoConfig.for_model(**infinite).to_json_string(use_diff=False)
        except Exception:  # noqa: BLE001  (refused by us, or by transformers in words of many classes)
            continue
        asked += 1
        assert declare(json.loads(whole)).decoder == ours, key
    assert asked > 9


def test_a_tensor_too_many_too_few_or_of_another_shape_is_named(first: dict[str, Model]) -> None:
    for family, (_, config, weights) in first.items():
        name = next(reversed(weights))
        stored = declare(config)
        stored.check(weights)
        for wrong in (
            {n: w for n, w in weights.items() if n != name},
            {**weights, name: weights[name][..., :-1]},
            {**weights, "model.extra.weight": weights[name]},
        ):
            with pytest.raises(ValueError, match=f"{name}|model.extra.weight"):
                stored.check(wrong)
        assert stored.kind == family
