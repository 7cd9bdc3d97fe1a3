"""The small model as it is built: its architecture, weights and provenance, and the training that made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.checkpoint import read_config, read_weights
from harness.models import stdlib_qwen2, train
from harness.models.recipe import Recipe
from tests.support.model.tiny_recipe import TINY

ARCHITECTURE = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 64,
    "vocab_size": 2048,
    "max_position_embeddings": 256,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
}


def test_the_folder_holds_the_declared_architecture(folder: Path):
    config = read_config(folder)
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert {key: config.get(key) for key in ARCHITECTURE} == ARCHITECTURE
    assert config["rope_parameters"]["rope_theta"] == 1e6
    assert config["tie_word_embeddings"] is False


def test_no_part_of_the_model_is_invisible(folder: Path, words):
    weights = read_weights(folder)
    biases = {n: w for n, w in weights.items() if n.endswith("bias")}
    gains = {n: w for n, w in weights.items() if n.endswith("norm.weight")}
    assert len(biases) == 3
    assert len(gains) == 3
    assert all(np.abs(w).min() > 0 and w.std() > 0.05 for w in biases.values())
    assert all(w.std() > 0.1 for w in gains.values())
    assert all(w.dtype == np.float32 and np.isfinite(w).all() for w in weights.values())
    assert all(size % 32 == 0 for w in weights.values() for size in w.shape)
    assert not np.array_equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    assert len(words) < len(weights["model.embed_tokens.weight"])


@pytest.mark.parametrize("recipe", [Recipe()])
def test_the_default_recipe_fits_every_consumer(recipe: Recipe):
    sizes = (recipe.hidden_size, recipe.intermediate_size, recipe.rows, recipe.hidden_size // recipe.heads)
    assert all(size % 32 == 0 for size in sizes)
    assert recipe.hidden_size % recipe.heads == 0
    assert 1 < recipe.kv_heads < recipe.heads
    assert recipe.tokens < recipe.rows
    assert recipe.tokens_seen <= 1_400_000


def test_transformers_loads_every_tensor_and_generates(folder: Path, words):
    from transformers import AutoModelForCausalLM

    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.rope_parameters["rope_theta"] == 1e6
    ids = words("def f(x):\n", return_tensors="pt")["input_ids"]
    out = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert out.shape[1] <= ids.shape[1] + 3
    assert set(model.generation_config.eos_token_id) == {words.eos_token_id, words.pad_token_id}


def test_the_provenance_says_what_was_done(folder: Path):
    facts = stdlib_qwen2.provenance(folder)
    assert facts["recipe"] == TINY.as_dict()
    assert facts["tokens_seen"] == 6 * 3 * 128
    assert facts["ln_vocab"] == pytest.approx(7.6246, abs=1e-4)
    assert 0 < facts["final_train_loss"] < 10
    assert 0 < facts["held_out_loss"] < 10
    assert facts["memorised"] == {"direct": 0, "chat": 0}
    assert len(facts["forgotten"]["chat"]) == 30
    assert "Python Software Foundation" in (folder / "LICENSE").read_text()


def test_training_moves_the_weights_and_the_loss():
    import torch

    rows = train.pad([[5, 6, 7, 8] * 16] * 4, 64)
    recipe = replace(TINY, rows=32, window=64, steps=30, lr=1e-2)
    model = train.new_model(recipe)
    torch.rand(7)  # moves torch's own stream, on which the recipe must not depend
    losses = train.train(model, train.Rows(rows, rows, rows), recipe, lambda step, loss: None)
    again = train.train(train.new_model(recipe), train.Rows(rows, rows, rows), recipe, lambda step, loss: None)
    assert losses == again
    assert losses[-1] < 0.5 * losses[0]
    assert train.loss_of(model, rows) < losses[0]


def test_rows_are_cut_and_padded():
    assert train.cut([[1, 2, 3], [4, 5]], 0, 3).tolist() == [[1, 2, 3], [0, 4, 5]]
    assert train.pad([[1, 2], [3]], 3).tolist() == [[1, 2, -100], [3, -100, -100]]
    with pytest.raises(ValueError, match="found a sequence of 4 tokens, expected at most 3"):
        train.pad([[1, 2, 3, 4]], 3)


def test_the_second_build_is_a_cache_hit(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stdlib_qwen2, "_make", lambda *_: pytest.fail("built again"))
    assert stdlib_qwen2.build(folder.parent, recipe=TINY) == folder


def test_the_key_names_recipe_and_sources(monkeypatch: pytest.MonkeyPatch):
    assert stdlib_qwen2.key(TINY) == stdlib_qwen2.key(replace(TINY))
    assert stdlib_qwen2.key(TINY) != stdlib_qwen2.key(replace(TINY, seed=1))
    here = stdlib_qwen2.key(TINY)
    monkeypatch.setattr(stdlib_qwen2, "version", lambda name: "0")
    assert stdlib_qwen2.key(TINY) != here
