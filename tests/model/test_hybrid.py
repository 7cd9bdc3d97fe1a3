"""Qwen3 and Qwen3.5 references against transformers, at once, in pieces and padded; generation and decoding of ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.qwen3_next import modeling_qwen3_next
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig

from harness.candidates import torch as eager
from harness.case import Case
from harness.checkpoint import read_config, read_weights
from harness.falsifiers.baselines.transformers import hybrid
from harness.falsifiers.baselines.transformers.hybrid import modeling
from harness.falsifiers.inputs.hybrid_model import hybrid_config, hybrid_weights
from harness.formats.architecture import tensor_shapes
from harness.reference.generation.byte_level import _bytes, byte_level_decode
from harness.reference.model.decoder import decoder_logits
from harness.reference.model.decoder_cache import decode, prefill
from harness.reference.model.families import declare
from tests.support.distance import rel_l2
from tests.support.model.qwen3_next import as_qwen3_next

DENSE = {
    **hybrid_config(layer_types="aa"),
    "model_type": "qwen3",
    "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0},
}
MODELS = {
    "mixed": hybrid_config(),
    "tied": hybrid_config(layer_types="al", tied=True, partial=0.5),
    "equal heads": hybrid_config(layer_types="la", key_heads=2, value_heads=2),
    "qwen3": {k: v for k, v in DENSE.items() if k != "layer_types" and not k.startswith("linear_")},
}


def built(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, torch.Tensor]]:
    config = MODELS[name]
    weights = hybrid_weights(Case(dtype="float64", seed=1), config)
    return config, weights, {n: torch.from_numpy(w.copy()) for n, w in weights.items()}


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_transformers_and_of_the_candidate(name: str) -> None:
    config, weights, tensors = built(name)
    assert declare(config).shapes() == tensor_shapes(config)
    tokens = np.random.default_rng(0).integers(0, 67, (2, 70))
    want = decoder_logits(config, weights, tokens)
    for module in (hybrid, eager):
        model = module.load(config, tensors, dtype="float64", device="cpu")
        assert rel_l2(model.logits(torch.from_numpy(tokens)), want) <= 1e-12
        logits, cache = model.prefill(torch.from_numpy(tokens[:, :66]))
        pieces = [logits]
        for at in range(66, 70):
            logits, cache = model.decode(torch.from_numpy(tokens[:, at : at + 1]), cache)
            pieces.append(logits)
        assert rel_l2(torch.cat(pieces, dim=1), want) <= 1e-12
    narrow = {n: w.float() for n, w in tensors.items()}
    unpatched = hybrid.load(config, narrow, dtype="float32", device="cpu").logits(torch.from_numpy(tokens))
    assert 1e-8 < rel_l2(unpatched, want) < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_pieces_and_padding_are_the_whole(name: str) -> None:
    config, weights, _ = built(name)
    tokens = np.random.default_rng(1).integers(0, 67, (3, 12))
    logits, cache = prefill(config, weights, tokens[:, :8], np.array([8, 5, 1]))
    after, _ = decode(config, weights, tokens[:, 8:], cache)
    for i, real in enumerate((8, 5, 1)):
        alone = decoder_logits(config, weights, tokens[i : i + 1, 8 - real :])[0]
        assert rel_l2(np.concatenate([logits[i, 8 - real :], after[i]]), alone) < 1e-13
        assert np.isnan(logits[i, : 8 - real]).all()


def test_a_folder_of_transformers_is_read_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**MODELS["mixed"])).eval()
    model.save_pretrained(tmp_path)
    config, weights = read_config(tmp_path), read_weights(tmp_path)
    tokens = np.random.default_rng(2).integers(0, 67, (1, 9))
    with torch.no_grad():
        want = model(torch.from_numpy(tokens)).logits.numpy()
    assert rel_l2(want, decoder_logits(config, weights, tokens)) < 1e-5


@pytest.mark.parametrize("value_heads", [2, 4])
@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 200, 2048])
def test_qwen3_next_is_the_same_model_under_other_names(value_heads: int, length: int) -> None:
    """A Qwen3-Next without experts: its projections lie head by head, all else is Qwen3.5's text model."""
    config = hybrid_config(layer_types="lal", value_heads=value_heads)
    weights = hybrid_weights(Case(dtype="float64", seed=2), config)
    named = {n: torch.from_numpy(w.copy()) for n, w in weights.items() if ".linear_attn." not in n}
    for i in (0, 2):
        prefix = f"model.layers.{i}.linear_attn."
        named |= as_qwen3_next({"config": config, "weights": weights}, prefix)
    known = {key: value for key, value in config.items() if key != "model_type"}
    settings = Qwen3NextConfig(**known, num_experts=0, mlp_only_layers=[0, 1, 2])
    model = modeling("float64", modeling_qwen3_next).Qwen3NextForCausalLM(settings).double().eval()
    model.load_state_dict(named)
    tokens = np.random.default_rng(3).integers(0, 67, (1, length))
    with torch.no_grad():
        want = model(torch.from_numpy(tokens)).logits
    assert rel_l2(want, decoder_logits(config, weights, tokens)) < 1e-11


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"layer_types": ["full_attention"]}, "found layer_types .*, expected one of .* for each of 4"),
        ({"layer_types": ["sliding_attention"] * 4}, "found layer_types"),
        ({"model_type": "exaone5"}, "found model_type 'exaone5', expected one of .*qwen3, qwen3_5_moe_text"),
        ({"hidden_act": "geglu"}, "found hidden_act 'geglu'"),
    ],
)
def test_configs_that_are_not_known_are_refused_by_key(changed: dict[str, Any], words: str) -> None:
    config = {**MODELS["mixed"], **changed}
    with pytest.raises(ValueError, match=words):
        declare(config)
    with pytest.raises(ValueError, match="config: found"):
        eager.load(config, {}, dtype="float32", device="cpu")


def test_generation_ends_where_it_is_told_to() -> None:
    config, _, tensors = built("mixed")
    model = eager.load(config, tensors, dtype="float64", device="cpu")
    tokens = torch.randint(0, 67, (2, 5), generator=torch.Generator().manual_seed(0))
    ids, logits = model.generate(tokens, 12)
    assert ids.shape == (2, 12)
    assert torch.equal(logits.argmax(-1), ids)
    stop = int(ids[0, 3])
    first = [int(i) for i in ids[0]].index(stop)
    again, _ = model.generate(tokens[:1], 12, stop=[stop])
    assert torch.equal(again[0], ids[0, : first + 1])


def test_bytes_are_spelled_as_the_tokenizers_library_spells_them() -> None:
    from tokenizers import pre_tokenizers

    assert set(_bytes()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(_bytes().values()) == list(range(256))
    vocabulary = dict(enumerate(_bytes()))
    ids = {byte: i for i, byte in enumerate(_bytes().values())}
    text = "né ☃ 😀\n"
    encoded = [ids[byte] for byte in text.encode()]
    assert byte_level_decode([*encoded, 999], vocabulary, {999: "<|end|>"}) == text + "<|end|>"
    assert byte_level_decode(encoded[:2], vocabulary, {}) == "n�"
    with pytest.raises(ValueError, match="found 7777"):
        byte_level_decode([7777], vocabulary, {})
