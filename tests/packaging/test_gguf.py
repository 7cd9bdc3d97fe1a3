"""GGUF files: plan, round trip, llama.cpp's own words on each defect, hostile files, and `harness export`."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from harness.case import Case
from harness.commands.main import main
from harness.consumers import llama_cpp
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.baselines.gguf import package
from harness.falsifiers.baselines.gguf.rewrite import rewrite
from harness.falsifiers.inputs.exported import build
from harness.falsifiers.inputs.hybrid_model import logits_of
from harness.falsifiers.packaging import gguf
from harness.falsifiers.packaging.mutants import gguf_files, gguf_refusals
from harness.formats.errors import Malformed
from harness.formats.gguf_export import export
from harness.formats.gguf_import import load
from harness.formats.gguf_plan import plan
from harness.formats.inspection import inspect
from harness.models.tokenizer import PATTERN
from harness.mutant import mutants_of

MODELS = ("llama", "qwen2", "qwen2_tied", "qwen3", "hybrid", "hybrid_equal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny Qwen2 with a tokenizer of 90 tokens for 96 rows."""
    config, weights = build(Case(dtype="float32", seed=1), "qwen2")
    where = tmp_path / "checkpoint"
    checkpoints.write_folder(where, config | {"vocab_size": 320}, _longer(weights, 320))
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(__import__("tokenizers").Regex(PATTERN), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["def f(x): return x + 1\n" * 9, "for i in range(10): print(i)\n" * 9], trainer)
    tokenizer.add_special_tokens(["<|im_end|>"])
    tokenizer.save(str(where / "tokenizer.json"))
    (where / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}))
    (where / "LICENSE").write_text("MIT License\n")
    return where


def _longer(weights: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    ends = ("embed_tokens.weight", "lm_head.weight")
    return {n: np.resize(w, (rows, w.shape[1])) if n.endswith(ends) else w for n, w in weights.items()}


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
    want = logits_of(config)(config, weights, tokens)[0]
    answer = ask(tmp_path / "ours.gguf", Request(tokens=tokens.tolist()))
    assert answer.ok, answer.refusal
    assert np.linalg.norm(answer.logits[0] - want) / np.linalg.norm(want) < (3e-6 if "hybrid" in model else 1e-6)
    found_config, found = load(tmp_path / "ours.gguf")
    assert found.keys() == weights.keys()
    for name, w in weights.items():
        exact = not name.endswith(("A_log", "norm.weight"))
        assert np.array_equal(found[name], w) if exact else np.allclose(found[name], w, rtol=3e-7, atol=1e-7), name
    assert plan(found_config).entries == plan(config).entries


KINDS = {
    "class_name_as_architecture": "architecture",
    "eps_missing": "key",
    "tokenizer_missing": "key",
    "merges_missing": "tokenizer",
    "pre_tokenizer_unknown": "tokenizer",
}
REFUSED = {
    "class_name_as_architecture": "unknown model architecture: 'Qwen2ForCausalLM'",
    "tokens_not_padded": "token_embd.weight",
    "tensor_missing": "blk.1.ffn_down.weight",
    "tensor_too_many": "wrong number of tensors",
    "cut_short": "not within the file bounds",
    "eps_missing": "qwen2.attention.layer_norm_rms_epsilon",
    "tokenizer_missing": "tokenizer.ggml.model",
    "merges_missing": "merges",
    "pre_tokenizer_unknown": "pre-tokenizer",
}


@pytest.mark.parametrize("engine", llama_cpp.ENGINES)
@pytest.mark.parametrize("name", REFUSED)
def test_both_builds_refuse_each_defect_by_its_name(name: str, engine: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.gguf"
    mutants_of(gguf_refusals)[name](package).export_gguf(str(folder), str(path), "F32")
    answer = ask(path, engine=engine)
    assert not answer.ok
    assert REFUSED[name] in answer.refusal, answer.refusal
    kinds = [kind for kind, words in gguf.WORDS.items() if re.search(words, answer.refusal)]
    assert kinds == [KINDS.get(name, "tensor")]


def test_biases_in_f16_end_the_process_and_the_next_load_is_served(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.gguf"
    gguf_refusals.vectors_in_f16(package).export_gguf(str(folder), str(path), "F32")
    answer = ask(path, Request(tokens=[[1]]))
    assert not answer.ok
    assert "process ended" in answer.refusal
    package.export_gguf(str(folder), str(path), "F32")
    assert ask(path, Request(tokens=[[1]])).ok


def test_what_loads_without_a_word_moves_the_logits(folder: Path, tmp_path: Path) -> None:
    path, tokens = tmp_path / "file.gguf", [[5, 9, 200, 31, 7]]
    package.export_gguf(str(folder), str(path), "F32")
    right = ask(path, Request(tokens=tokens)).logits[0]
    for name in ("eps_of_1e_5", "biases_dropped", "one_key_bias_dropped", "rope_base_missing", "output_head_missing"):
        mutants_of(gguf_files)[name](package).export_gguf(str(folder), str(path), "F32")
        answer = ask(path, Request(tokens=tokens))
        assert answer.ok, name
        assert np.linalg.norm(answer.logits[0] - right) / np.linalg.norm(right) > 2e-6, name


def test_both_builds_give_the_same_probabilities(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    export(folder, path, type="q8_0")
    raw = ask(path, Request(tokens=[[5, 9, 200]])).logits[0][-1].astype(np.float64)
    told = ask(path, Request(tokens=[[5, 9, 200]], extra={"vocab": 320}), engine="xllamacpp")
    assert told.ok, told.refusal
    assert np.abs(told.logits[0][0] - (raw - np.log(np.exp(raw - raw.max()).sum()) - raw.max())).max() < 0.05


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


def test_an_engine_that_is_not_there_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(llama_cpp, "find_spec", lambda name: None)
    with pytest.raises(llama_cpp.NotInstalled) as absent:
        ask(tmp_path / "any.gguf")
    assert absent.value.unsupported
    with pytest.raises(ValueError, match="found 'ollama', expected one of"):
        ask(tmp_path / "any.gguf", engine="ollama")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("block_count", 2**32 - 1, "block_count' is 4294967295, expected a positive whole number"),
        ("block_count", 2**30, "block_count' is 1073741824, but the file has 27 tensors"),
        ("block_count", 0, "block_count' is 0, expected a positive number"),
        ("attention.head_count", 0, "head_count' is 0"),
        ("attention.key_length", 0, "key_length' is 0"),
        ("attention.head_count_kv", 2**31, "head_count_kv' is 2147483648, expected a positive whole number"),
        ("attention.head_count_kv", 64, r"tensor 'blk\.0\.attn_k\.weight' has shape"),
        ("rope.freq_base", float("nan"), "freq_base' is nan"),
        ("context_length", 0, "context_length' is 0"),
    ],
)
def test_numbers_made_to_hurt_are_refused_by_key(
    key: str, value: float, words: str, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    export(folder, path)
    rewrite(str(path), lambda keys, tensors: keys.update({f"qwen2.{key}": value}))
    with pytest.raises(Malformed, match=words):
        load(path)


@pytest.mark.parametrize("kind", ["gguf", "import"])
def test_hurt_files_are_one_line_for_the_importer_too(kind: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    export(folder, path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        hurt = bytearray(whole[: int(rng.integers(8, len(whole)))] if kind == "gguf" else whole)
        for at in rng.integers(0, min(len(hurt), 20_000), 3):
            hurt[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(hurt)
        assert _one_line(path)


def _one_line(path: Path) -> bool:
    """Whether a file is read, or refused in one line."""
    try:
        load(path)
    except Malformed as problem:
        return "\n" not in str(problem)
    return True


FOLDER = ("config.json", "tokenizer.json", "tokenizer_config.json", "recipe.json")
VALUES = (None, 0, -1, 2**31, 2**70, 1.5, float("nan"), True, "", "\ud800", [], {}, [1], {"a": 1}, [[]], ["a"], [{}])


@pytest.mark.parametrize("seed", range(3))
def test_a_folder_whose_json_holds_anything_is_one_line(seed: int, folder: Path, tmp_path: Path) -> None:
    """One or two entries of a JSON file of the folder replaced by a value of any kind; inspection and export."""
    (folder / "recipe.json").write_text('{"corpus": {"files": 3}}')
    whole, rng, refused = {name: (folder / name).read_text() for name in FOLDER}, np.random.default_rng(seed), 0
    for _ in range(150):
        name = FOLDER[int(rng.integers(0, 4))]
        found = json.loads(whole[name])
        for _ in range(int(rng.integers(1, 3))):
            _put(found, deepcopy(VALUES[int(rng.integers(0, len(VALUES)))]), rng)
        (folder / name).write_text(json.dumps(found))
        for ask_for in (inspect, lambda f: export(f, tmp_path / "out.gguf")):
            refused += (said := _said(ask_for, folder)) is not None
            assert said is None or ("\n" not in said and len(said) < 800)
        (folder / name).write_text(whole[name])
    assert refused > 50


def _said(ask_for: Any, folder: Path) -> str | None:
    try:
        ask_for(folder)
    except Malformed as problem:
        return str(problem)
    return None


def _put(found: Any, value: Any, rng: np.random.Generator) -> None:
    """Walk down at random, and leave `value` somewhere."""
    while True:
        keys = list(found) if isinstance(found, dict) else list(range(len(found)))
        if not keys:
            return
        key = keys[int(rng.integers(0, len(keys)))]
        if not isinstance(found[key], (dict, list)) or rng.random() < 0.2:
            found[key] = value
            return
        found = found[key]
