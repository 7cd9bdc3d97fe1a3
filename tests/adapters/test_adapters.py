"""Adapters and their files: against PEFT in both directions on two models, and wrong folders in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM

from harness.candidates import torch as eager
from harness.case import Case
from harness.commands.main import main
from harness.falsifiers.adapters.adapter_files import _wrongs
from harness.falsifiers.baselines.peft import files
from harness.falsifiers.baselines.peft import lora as peft_lora
from harness.falsifiers.inputs.hybrid_model import adapter_layers, adapter_pairs, hybrid_config, layer_shape
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.formats.architecture import linear_layers, tensor_shapes
from harness.formats.errors import Malformed
from harness.formats.peft_adapter import CONFIG, TENSORS, load, save
from harness.reference.adapters.lora import lora_scale, merge
from harness.reference.random_weights import random_weights

MODELS = {
    "qwen2": small_config(),
    "llama": small_config(model_type="llama"),
    "hybrid": hybrid_config(layer_types="lal"),
    "tied hybrid": hybrid_config(layer_types="la", tied=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_tensors_are_those_of_transformers_own_model(name: str) -> None:
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**MODELS[name]))
    want = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert tensor_shapes(MODELS[name]) == want
    linear = {n: tuple(m.weight.shape) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    found = linear_layers(MODELS[name])
    assert found == {n: shape for n, shape in linear.items() if n != "lm_head"}
    assert all(layer_shape(MODELS[name], n) == shape for n, shape in found.items())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stabilised", [False, True])
def test_peft_gives_the_same_logits_from_our_folder(name: str, stabilised: bool, tmp_path: Path) -> None:
    """transformers with PEFT reading our folder, against transformers with the weights that we merged."""
    config, case = MODELS[name], Case(dtype="float32")
    pairs = adapter_pairs(case, config, adapter_layers(config, "everything"), 3)
    save(tmp_path, config, pairs, r=3, lora_alpha=5.0, use_rslora=stabilised)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
    tokens = torch.randint(0, config["vocab_size"], (2, 7))
    state = {n: w.clone() for n, w in model.state_dict().items()}
    with torch.no_grad():
        plain = model(tokens).logits
        adapted = PeftModel.from_pretrained(model, str(tmp_path)).eval()(tokens).logits
        other = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).eval()
        for layer, (A, B, scale) in load(tmp_path, config).items():
            assert scale == pytest.approx(lora_scale(3, 5.0, stabilised), rel=1e-15)
            state[f"{layer}.weight"] = torch.from_numpy(merge(state[f"{layer}.weight"].numpy(), (A, B, scale)))
        other.load_state_dict(state)
        merged = other(tokens).logits
    assert torch.linalg.norm(adapted - merged) / torch.linalg.norm(merged) < 1e-5
    assert torch.linalg.norm(adapted - plain) / torch.linalg.norm(plain) > 0.1


@pytest.mark.parametrize("which", ["attention", "delta", "mixed", "everything"])
def test_the_round_trip_keeps_every_byte_and_names_what_is_there(which: str, tmp_path: Path) -> None:
    config = MODELS["hybrid"]
    pairs = adapter_pairs(Case(dtype="float32"), config, adapter_layers(config, which), 2)
    save(tmp_path / "ours", config, pairs, r=2, lora_alpha=4.0)
    files.write(str(tmp_path / "theirs"), config, pairs, r=2, lora_alpha=4.0, use_rslora=False)
    for folder in ("ours", "theirs"):
        found = load(tmp_path / folder, config)
        assert set(found) == set(pairs)
        assert all(np.array_equal(found[n][i], pairs[n][i]) for n in pairs for i in range(2))
        assert {scale for _, _, scale in found.values()} == {2.0}
    ours, theirs = (json.loads((tmp_path / f / "adapter_config.json").read_text()) for f in ("ours", "theirs"))
    assert set(ours["target_modules"]) == set(theirs["target_modules"]) == {n.rsplit(".", 1)[-1] for n in pairs}
    shape = found[next(n for n in pairs if n.endswith(("in_proj_a", "k_proj")))][1].shape
    assert shape[0] == (config["linear_num_value_heads"] if which != "attention" else 32)


def test_one_layer_of_many_is_named_in_full(tmp_path: Path) -> None:
    config = MODELS["qwen2"]
    pairs = adapter_pairs(Case(dtype="float32"), config, ["model.layers.1.self_attn.q_proj"], 2)
    save(tmp_path, config, pairs, r=2, lora_alpha=4.0)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"] == list(pairs)
    assert set(files.read(str(tmp_path), config)) == set(load(tmp_path, config)) == set(pairs)


def test_every_wrong_folder_is_refused_in_one_line_and_nothing_changes(tmp_path: Path) -> None:
    config = hybrid_config(layer_types="la")
    names = adapter_layers(config, "mixed")
    pairs = adapter_pairs(Case(dtype="float32"), config, names, 3)
    for i, (spoil, words) in enumerate(_wrongs(config, names, 3)):
        folder = tmp_path / str(i)
        save(folder, config, pairs, r=3, lora_alpha=8.0)
        spoil(folder)
        kept = {path.name: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(Malformed) as refusal:
            load(folder, config)
        assert "\n" not in str(refusal.value)
        assert all(word in str(refusal.value) for word in words), (words, str(refusal.value))
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_an_adapter_that_peft_keeps_in_16_bits_is_read(kind: str, tmp_path: Path) -> None:
    config = MODELS["hybrid"]
    pairs = adapter_pairs(Case(dtype="float32"), config, adapter_layers(config, "mixed"), 3)
    files.write(str(tmp_path), config, pairs, r=3, lora_alpha=6.0, use_rslora=False)
    path = tmp_path / TENSORS
    safetensors.torch.save_file(
        {n: t.to(getattr(torch, kind)) for n, t in safetensors.torch.load_file(path).items()}, path
    )
    found = load(tmp_path, config)
    assert set(found) == set(pairs)
    for name, pair in pairs.items():
        for got, want in zip(found[name], pair, strict=False):
            assert np.array_equal(got, torch.from_numpy(want).to(getattr(torch, kind)).float().numpy())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"alpha_pattern": {"q_proj": None}}, "found alpha_pattern of 'q_proj' None"),
        ({"rank_pattern": {"q_proj": "3"}}, "found rank_pattern of 'q_proj' '3'"),
        ({"rank_pattern": {"^q_proj$": 3}}, "expected the name of a module"),
        ({"rank_pattern": [3]}, "expected an object of module names"),
        ({"layers_to_transform": [0]}, r"found layers_to_transform \[0\]"),
        ({"use_dora": True}, "found use_dora True"),
        ({"r": 0}, "found r 0"),
        ({"lora_alpha": float("inf")}, "found lora_alpha inf"),
        ({"target_modules": "all-linear"}, "found target_modules all-linear"),
    ],
)
def test_settings_that_would_be_read_otherwise_are_refused(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    config = MODELS["hybrid"]
    save(
        tmp_path,
        config,
        adapter_pairs(Case(dtype="float32"), config, adapter_layers(config, "mixed"), 3),
        r=3,
        lora_alpha=6.0,
    )
    about = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**about, **changed}))
    with pytest.raises(Malformed, match=words):
        load(tmp_path, config)


def test_tensors_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    config = MODELS["hybrid"]
    pairs = adapter_pairs(Case(dtype="float32"), config, adapter_layers(config, "mixed"), 3)
    name = next(n for n in pairs if n.endswith("in_proj_b"))
    spoilt = pairs[name][1].copy()
    spoilt.flat[1] = np.nan
    save(tmp_path / "nan", config, {**pairs, name: (pairs[name][0], spoilt)}, r=3, lora_alpha=6.0)
    with pytest.raises(Malformed, match=f"{name}.lora_B.weight' holds NaN"):
        load(tmp_path / "nan", config)
    save(tmp_path / "bytes", config, pairs, r=3, lora_alpha=6.0)
    path = tmp_path / "bytes" / TENSORS
    safetensors.torch.save_file({n: t.to(torch.int8) for n, t in safetensors.torch.load_file(path).items()}, path)
    with pytest.raises(Malformed, match="has type I8, expected F32"):
        load(tmp_path / "bytes", config)


def test_an_adapter_is_held_to_a_model_at_the_command_line(tmp_path: Path, capsys: Any) -> None:
    config = MODELS["hybrid"]
    names = adapter_layers(config, "mixed")
    adapter, model, other = (tmp_path / name for name in ("adapter", "model", "other"))
    save(adapter, config, adapter_pairs(Case(dtype="float32"), config, names, 3), r=3, lora_alpha=6.0)
    for folder, known in ((model, config), (other, hybrid_config(layer_types="lal", value_heads=2))):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(known))
    assert main(["inspect", str(adapter), "--model", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["keys"]["fits"] == f"{model}: {len(names)} layers"
    assert main(["inspect", str(adapter), "--model", str(other)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "model.layers.0.linear_attn.in_proj" in said.err
    assert "has shape" in said.err
    assert "expected" in said.err
    assert said.err.count("\n") == 1


def test_nothing_is_written_of_an_adapter_that_does_not_fit(tmp_path: Path) -> None:
    config = MODELS["hybrid"]
    pairs = adapter_pairs(Case(dtype="float32"), config, adapter_layers(config, "mixed"), 3)
    name = next(n for n in pairs if n.endswith("in_proj_b"))
    wrong: dict[str, Any] = {
        f"{name}.lora_A has shape": {**pairs, name: (pairs[name][0].T, pairs[name][1])},
        "is not one of this model's linear layers": {**pairs, "model.layers.0.self_attn.q_proj": pairs[name]},
        "found no adapter": {},
    }
    for words, lora in wrong.items():
        with pytest.raises(Malformed, match=words):
            save(tmp_path / "out", config, lora, r=3, lora_alpha=8.0)
    assert not (tmp_path / "out").exists()


def test_a_decoder_refuses_adapters_that_do_not_fit() -> None:
    config = MODELS["qwen2"]
    weights = {n: torch.from_numpy(w) for n, w in random_weights(config, 0).items()}
    A, B = torch.zeros(2, 32), torch.zeros(48, 2)
    kind = {"dtype": "float64", "device": "cpu"}
    for lora, words in (
        ({"model.layers.9.self_attn.q_proj": (A, B, 1.0)}, "found an adapter of 'model.layers.9.self_attn.q_proj'"),
        ({"model.embed_tokens": (A, B, 1.0)}, "found an adapter of 'model.embed_tokens'"),
        ({"model.layers.0.self_attn.q_proj": (A, B[1:], 1.0)}, "for weight"),
    ):
        with pytest.raises(ValueError, match=words.replace(".", r"\.")):
            eager.load(config, weights, lora=lora, **kind)


def test_pefts_linear_layer_is_what_the_reference_says() -> None:
    rng = np.random.default_rng(0)
    weight, A, B = rng.standard_normal((4, 6)), rng.standard_normal((3, 6)), rng.standard_normal((4, 3))
    tensors = tuple(torch.from_numpy(a) for a in (A, B))
    merged = peft_lora.merge_lora(torch.from_numpy(weight), (*tensors, 0.7)).numpy()
    assert np.abs(merged - merge(weight, (A, B, 0.7))).max() < 1e-14
    for r, alpha, stabilised in ((16, 32.0, False), (16, 32.0, True), (3, 7.0, True)):
        assert peft_lora.lora_scale(r, alpha, stabilised) == pytest.approx(lora_scale(r, alpha, stabilised), rel=1e-15)
