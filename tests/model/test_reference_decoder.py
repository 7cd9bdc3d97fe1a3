"""The float64 decoder against transformers made truly float64, its stages, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.falsifiers.baselines.transformers import decoder as transformers_decoder
from harness.reference.model.decoder import decoder_forward, decoder_logits, stage_names
from harness.reference.ops.activations import silu_forward
from harness.reference.ops.rope import rope_forward
from harness.reference.random_weights import random_weights
from tests.support.distance import rel_l2
from tests.support.model.small_decoder import BASE

CONFIGS = {
    "qwen2": (BASE, 70),
    "qwen2 tied, own head_dim": (BASE | {"tie_word_embeddings": True, "head_dim": 12}, 33),
    "qwen2 theta in rope_parameters": (
        {**BASE, "rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 777.0}},
        33,
    ),
    "qwen2 past position 1,000": (BASE | {"hidden_size": 16, "vocab_size": 31}, 1100),
    "llama without biases": (BASE | {"model_type": "llama", "rope_theta": 1e4, "head_dim": 10}, 70),
    "llama with every bias": (BASE | {"model_type": "llama", "attention_bias": True, "mlp_bias": True}, 17),
    "llama tied, all heads": (BASE | {"model_type": "llama", "tie_word_embeddings": True, "num_key_value_heads": 4}, 5),
    "one key/value head, eps 1e-5": (BASE | {"num_key_value_heads": 1, "rms_norm_eps": 1e-5}, 1),
}


def model_of(config: dict[str, Any], length: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    tokens = np.random.default_rng(length).integers(0, config["vocab_size"], (2, length))
    return random_weights(config, seed=length), tokens


def transformers_float64(config: dict[str, Any], weights: dict[str, np.ndarray]) -> transformers_decoder.Decoder:
    tensors = {name: torch.from_numpy(w) for name, w in weights.items()}
    config = {key: value for key, value in config.items() if value is not None}
    return transformers_decoder.load(config, tensors, dtype="float64", device="cpu")


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_equal_transformers_in_float64(name: str) -> None:
    config, length = CONFIGS[name]
    weights, tokens = model_of(config, length)
    want = transformers_float64(config, weights).logits(torch.from_numpy(tokens)).numpy()
    assert want.std() > 0.1
    assert rel_l2(decoder_logits(config, weights, tokens), want) <= 1e-12


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_logits_equal_transformers_as_it_comes(kind: str) -> None:
    """No patch of ours in between: the float64 pin above cannot be wrong together with its patch."""
    config = BASE | {"model_type": kind}
    weights, tokens = model_of(config, 70)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    model.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
    with torch.no_grad():
        got = model(torch.from_numpy(tokens)).logits.double().numpy()
    assert rel_l2(got, decoder_logits(config, weights, tokens)) <= 5e-6


def test_stages_equal_the_modules_of_transformers() -> None:
    config = BASE | {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "head_dim": 12}
    weights, tokens = model_of(config, 19)
    decoder, seen = transformers_float64(config, weights), {}
    modules = {"embed": "model.embed_tokens", "final_norm": "model.norm", "logits": "lm_head"}
    for i in range(config["num_hidden_layers"]):
        at = f"model.layers.{i}"
        modules |= {f"layers.{i}.{n}_proj": f"{at}.self_attn.{n}_proj" for n in "qkvo"}
        modules |= {f"layers.{i}.{n}_proj": f"{at}.mlp.{n}_proj" for n in ("gate", "up", "down")}
        modules |= {f"layers.{i}.input_norm": f"{at}.input_layernorm", f"layers.{i}.mlp_residual": at}
        modules |= {f"layers.{i}.post_norm": f"{at}.post_attention_layernorm"}
    for stage, module in modules.items():
        decoder.model.get_submodule(module).register_forward_hook(
            lambda _, __, out, stage=stage: seen.update({stage: out[0] if isinstance(out, tuple) else out})
        )
    decoder.logits(torch.from_numpy(tokens))
    _, stages = decoder_forward(config, weights, tokens)
    assert set(seen) == set(modules)
    for stage, value in seen.items():
        assert rel_l2(stages[stage], value.detach().numpy()) <= 1e-12, stage


def test_stages_come_in_the_order_of_their_names() -> None:
    weights, tokens = model_of(BASE, 6)
    logits, stages = decoder_forward(BASE, weights, tokens)
    assert list(stages) == stage_names(BASE)
    assert len(stages) == 1 + 17 * BASE["num_hidden_layers"] + 2
    assert np.array_equal(logits, decoder_logits(BASE, weights, tokens))
    assert stages["layers.1.scores"].shape == (2, 4, 6, 6)
    assert stages["layers.1.rope_k"].shape == (2, 2, 6, 8)
    future = np.triu(np.ones((6, 6), bool), 1)
    assert not stages["layers.0.scores"][..., future].any()
    assert not stages["layers.0.probs"][..., future].any()


def test_a_replacement_is_seen_downstream_only() -> None:
    weights, tokens = model_of(BASE, 6)
    _, before = decoder_forward(BASE, weights, tokens)
    name = "layers.0.attn_residual"
    logits, after = decoder_forward(BASE, weights, tokens, replace={name: before[name] + 1.0})
    split = stage_names(BASE).index(name) + 1
    assert all(np.array_equal(after[n], before[n]) for n in stage_names(BASE)[:split])
    changed = [n for n in stage_names(BASE)[split:] if not np.array_equal(after[n], before[n])]
    assert changed == stage_names(BASE)[split:]
    assert np.array_equal(logits, after["logits"])


@pytest.mark.parametrize(
    ("name", "readers"),
    {
        "embed": ["layers.0.input_norm", "layers.0.attn_residual"],
        "layers.0.v_proj": ["layers.0.attn"],
        "layers.0.rope_k": ["layers.0.scores"],
        "layers.0.scores": ["layers.0.probs"],
        "layers.0.gate_proj": ["layers.0.mlp_act"],
        "layers.1.attn_residual": ["layers.1.post_norm", "layers.1.mlp_residual"],
        "layers.1.mlp_residual": ["final_norm"],
        "logits": [],
    }.items(),
)
def test_with_every_stage_replaced_only_its_readers_change(name: str, readers: list[str]) -> None:
    weights, tokens = model_of(BASE, 6)
    _, before = decoder_forward(BASE, weights, tokens)
    noise = np.random.default_rng(0).standard_normal(before[name].shape)
    _, after = decoder_forward(BASE, weights, tokens, replace=before | {name: before[name] + noise})
    assert [n for n in before if not np.array_equal(after[n], before[n])] == readers


@pytest.mark.parametrize("name", ["qwen2", "llama with every bias"])
def test_every_tensor_of_the_sharp_weights_shows_in_the_logits(name: str) -> None:
    config, _ = CONFIGS[name]
    weights, tokens = model_of(config, 24)
    clean = decoder_logits(config, weights, tokens)
    for tensor, values in weights.items():
        neutral = np.ones_like(values) if tensor.endswith("norm.weight") else np.zeros_like(values)
        moved = rel_l2(decoder_logits(config, weights | {tensor: neutral}, tokens), clean)
        assert moved > 0.01, f"{tensor} moves the logits by {moved:.1e} only"


def test_sharp_weights_show_the_eps() -> None:
    weights, tokens = model_of(BASE, 24)
    clean = decoder_logits(BASE, weights, tokens)
    assert rel_l2(decoder_logits(BASE | {"rms_norm_eps": 1e-5}, weights, tokens), clean) > 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2', expected one of deepseek_v3, .* llama, "),
        ({"hidden_act": "geglu"}, "hidden_act 'geglu'"),
        ({"rope_scaling": {"type": "cubic", "factor": 2}}, "rope_type 'cubic'"),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e6, "low": 1}}, "found low in rope_parameters"),
        ({"alibi": True}, "found alibi True, which the family qwen2 does not read"),
        ({"rope_parameters": {"rope_theta": 1e4}}, "expected one value at rope_parameters.rope_theta"),
        ({"rope_theta": None}, "no rope_theta"),
        ({"use_sliding_window": "yes"}, "use_sliding_window"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps nan"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers '2', expected a positive integer"),
        ({"num_key_value_heads": 3}, "4 attention heads and 3 key/value heads"),
        ({"hidden_size": 33}, "hidden_size 33 is not a multiple of 4"),
        ({"head_dim": 7}, "head_dim 7, expected an even number"),
    ],
)
def test_a_config_it_cannot_compute_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stage_names(BASE | change)


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    weights, tokens = model_of(BASE, 4)
    bias = "model.layers.1.self_attn.k_proj.bias"
    missing = {name: w for name, w in weights.items() if name != bias}
    for wrong, words in (
        (missing, rf"{bias} not found, expected shape \(16,\)"),
        (weights | {bias: np.zeros(8)}, rf"{bias} has shape \(8,\), expected \(16,\)"),
        (weights | {"model.layers.2.mlp.up_proj.weight": np.zeros(3)}, "found model.layers.2.mlp.up_proj.weight"),
    ):
        with pytest.raises(ValueError, match=words):
            decoder_logits(BASE, wrong, tokens)
    with pytest.raises(ValueError, match=r"found lm_head\.weight"):
        decoder_logits(BASE | {"tie_word_embeddings": True}, weights, tokens)


def test_tokens_and_replacements_that_do_not_fit_are_refused() -> None:
    weights, tokens = model_of(BASE, 4)
    for wrong in (tokens - 100, tokens + 67, tokens[0], tokens.astype(float), tokens[:, :0]):
        with pytest.raises(ValueError, match="tokens: found"):
            decoder_logits(BASE, weights, wrong)
    with pytest.raises(ValueError, match=r"replace: found stage 'layers\.9\.attn'"):
        decoder_forward(BASE, weights, tokens, replace={"layers.9.attn": tokens})
    with pytest.raises(ValueError, match=r"replace: embed has shape \(2, 4\)"):
        decoder_forward(BASE, weights, tokens, replace={"embed": tokens})


def test_silu_equals_torch_also_far_out() -> None:
    x = np.concatenate([np.linspace(-40, 40, 401), [-700.0, 700.0, 0.0, -1e300, 1e300]])
    want = torch.nn.functional.silu(torch.from_numpy(x)).numpy()
    assert np.allclose(silu_forward(x)[0], want, rtol=1e-15, atol=0)


def test_rope_keeps_norms_and_sees_only_distances() -> None:
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, 1, 1, 1, 12))

    def at(x: np.ndarray, position: int) -> np.ndarray:
        return rope_forward(x, np.array([position]), theta=1e6)[0]

    assert np.isclose(np.linalg.norm(at(q, 1234)), np.linalg.norm(q), rtol=1e-14)
    assert np.isclose((at(q, 1234) * at(k, 1200)).sum(), (at(q, 34) * at(k, 0)).sum(), rtol=1e-10)
    with pytest.raises(ValueError, match="expected an even number"):
        rope_forward(q[..., :5], np.array([0]), theta=1e6)
    with pytest.raises(ValueError, match=r"positions of shape \(2,\)"):
        rope_forward(q, np.arange(2), theta=1e6)
