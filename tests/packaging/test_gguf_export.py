"""`harness export`: files as the baseline writes them, and what cannot be exported refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.case import Case
from harness.commands.main import main
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.baselines.gguf import package
from harness.falsifiers.inputs.exported import build
from harness.formats.errors import Malformed
from harness.formats.gguf_export import export
from harness.formats.gguf_import import load
from harness.formats.gguf_plan import plan
from harness.reference.model.decoder import decoder_logits
from tests.support.distance import rel_l2

MODELS = ("llama", "qwen2", "qwen2_tied", "qwen3", "hybrid", "hybrid_equal")


@pytest.mark.parametrize("model", MODELS)
def test_files_are_the_baselines_tensor_by_tensor_and_llama_cpp_agrees_with_the_reference(
    model: str, tmp_path: Path
) -> None:
    config, weights = build(Case(dtype="float32", seed=2), model)
    checkpoints.write_folder(tmp_path / "in", config, weights)
    export(tmp_path / "in", tmp_path / "ours.gguf", tokenizer=False)
    package.export_gguf(str(tmp_path / "in"), str(tmp_path / "theirs.gguf"), "F32", tokenizer=False)
    ours, theirs = (checkpoints.read_tensors(tmp_path / f"{who}.gguf") for who in ("ours", "theirs"))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    tokens = np.random.default_rng(0).integers(0, 96, (1, 20))
    want = decoder_logits(config, weights, tokens)[0]
    answer = ask(tmp_path / "ours.gguf", Request(tokens=tokens.tolist()))
    assert answer.ok, answer.refusal
    assert rel_l2(answer.logits[0], want) < (3e-6 if "hybrid" in model else 1e-6)
    found_config, found = load(tmp_path / "ours.gguf")
    assert found.keys() == weights.keys()
    for name, w in weights.items():
        exact = not name.endswith(("A_log", "norm.weight"))
        assert np.array_equal(found[name], w) if exact else np.allclose(found[name], w, rtol=3e-7, atol=1e-7), name
    assert plan(found_config).entries == plan(config).entries


def test_the_command_exports_and_says_what(folder: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "model.gguf"
    assert main(["export", str(folder), str(path), "--type", "q4_0"]) == 0
    assert "qwen2, 27 tensors" in capsys.readouterr().out
    keys, tensors = checkpoints.read_gguf(path)
    assert keys["general.license"] == "MIT License"
    assert len(keys["tokenizer.ggml.tokens"]) == 320
    assert keys["tokenizer.ggml.tokens"][-1] == "[PAD319]"
    assert {kind for kind, _ in tensors.values()} == {"F32", "Q4_0"}
    assert ask(path, Request(texts=["def f(x): return x"])).ok


def _words(folder: Path, edit: Any) -> None:
    path = folder / "tokenizer.json"
    words = json.loads(path.read_text())
    edit(words)
    path.write_text(json.dumps(words))


WRONG = {
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json: cannot be read"),
    "no eps": (lambda f: _set(f, rms_norm_eps=None), "found rms_norm_eps None"),
    "another type": (lambda f: _set(f, model_type="gpt2"), "found model_type 'gpt2'"),
    "fewer rows": (lambda f: _set(f, vocab_size=319), "tensor 'model.embed_tokens.weight' has shape"),
    "absurdly deep": (
        lambda f: _set(f, num_hidden_layers=10**9),
        "found num_hidden_layers 1000000000, expected at most",
    ),
    "a layer too many": (lambda f: _set(f, num_hidden_layers=3), "tensor 'model.layers.2.*' is missing"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "--no-tokenizer"),
    "no BPE": (
        lambda f: (f / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}'),
        "found model type 'Unigram'",
    ),
    "scaled rope": (
        lambda f: _set(f, rope_scaling={"rope_type": "llama3", "factor": 8.0}),
        "found rope_scaling 'llama3', expected 'default'",
    ),
    "another activation": (lambda f: _set(f, hidden_act="gelu"), "found hidden_act 'gelu', expected 'silu'"),
    "rope as a number": (lambda f: _set(f, rope_parameters=3.5), "found rope_parameters '3.5', expected an object"),
    "half a character": (lambda f: (f / "config.json").write_text('{"a": "\\ud800"}'), "not valid Unicode"),
    "a merge of three": (
        lambda f: _words(f, lambda w: w["model"]["merges"].insert(0, ["a", "b", "c"])),
        r"merges\[0\] is .*, expected two tokens",
    ),
    "an id in letters": (
        lambda f: _words(f, lambda w: w["added_tokens"][0].update(id="x")),
        r"added_tokens\[0\] lacks a text `content`",
    ),
    "a recipe cut short": (lambda f: (f / "recipe.json").write_text('{"a": '), r"recipe\.json: cannot be read as JSON"),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-5]),
        "it was cut short",
    ),
}


def _set(folder: Path, **changed: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_exported_is_one_line_and_no_file(name: str, folder: Path, tmp_path: Path, capsys: Any) -> None:
    spoil, words = WRONG[name]
    spoil(folder)
    path = tmp_path / "out.gguf"
    with pytest.raises(Malformed, match=words):
        export(folder, path)
    assert main(["export", str(folder), str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    assert not list(tmp_path.glob("out*"))


def test_more_tokens_than_rows_are_never_cut_off(folder: Path, tmp_path: Path) -> None:
    words = json.loads((folder / "tokenizer.json").read_text())
    words["added_tokens"].append({"id": 320, "content": "<|late|>", "special": True})
    (folder / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(Malformed, match="found id 320, expected less than the 320 rows"):
        export(folder, tmp_path / "out.gguf")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"layer_types": ["full_attention", "linear_attention"] * 2}, "expected full_attention in every n-th layer"),
        (
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5, "mrope_section": [4, 2, 2]}},
            "pair 7 of 8",
        ),
    ],
)
def test_what_llama_cpp_would_take_for_another_model_is_refused(changed: dict[str, Any], words: str) -> None:
    config, _ = build(Case(dtype="float32"), "hybrid")
    with pytest.raises(Malformed, match=words):
        plan(config | changed)
