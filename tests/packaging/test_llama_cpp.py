"""llama.cpp's own words on each defect of a GGUF file, and what it loads without a word."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from harness.consumers import llama_cpp
from harness.consumers.llama_cpp import Request, ask
from harness.falsifiers.baselines.gguf import package
from harness.falsifiers.packaging import gguf
from harness.falsifiers.packaging.mutants import gguf_files, gguf_refusals
from harness.formats.gguf_export import export
from harness.mutant import mutants_of
from tests.support.distance import rel_l2

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
        assert rel_l2(answer.logits[0], right) > 2e-6, name


def test_both_builds_give_the_same_probabilities(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    export(folder, path, type="q8_0")
    raw = ask(path, Request(tokens=[[5, 9, 200]])).logits[0][-1].astype(np.float64)
    told = ask(path, Request(tokens=[[5, 9, 200]], extra={"vocab": 320}), engine="xllamacpp")
    assert told.ok, told.refusal
    assert np.abs(told.logits[0][0] - (raw - np.log(np.exp(raw - raw.max()).sum()) - raw.max())).max() < 0.05


def test_an_engine_that_is_not_there_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(llama_cpp, "find_spec", lambda name: None)
    with pytest.raises(llama_cpp.NotInstalled) as absent:
        ask(tmp_path / "any.gguf")
    assert absent.value.unsupported
    with pytest.raises(ValueError, match="found 'ollama', expected one of"):
        ask(tmp_path / "any.gguf", engine="ollama")
