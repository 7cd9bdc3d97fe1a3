"""The small model: its corpus, tokenizer, functions, cache, and a tiny build end to end."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from harness.checkpoint import read_config, read_weights
from harness.errors import UserError
from harness.models import cache, corpus, stdlib_qwen2, tokenizer, train
from harness.models.functions import FUNCTIONS, chat_prompt, direct_prompt, expected, sequences
from harness.models.recipe import Recipe

TINY = Recipe(
    hidden_size=64,
    layers=1,
    heads=2,
    kv_heads=1,
    intermediate_size=64,
    files=12,
    steps=6,
    warmup=2,
    text_rows=2,
    memory_rows=1,
    held_out_rows=4,
    max_positions=256,
)
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
ADVERSARIAL = [
    "",
    " ",
    "   leading spaces\n\n\n\ttabs  and trailing  ",
    "naïve café, e\u0301 decomposed, \u212b \ufb01",
    "日本語の文字列と中文，한국어",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f9ec",
    "\x00\x01\x7f\u200b\ufeff\u2028\r\n\r",
    "I'M you'Ll we've 12345 3.14e-10 x_y__z",
    "".join(map(chr, range(256))),
    "\U0010ffff\ud7ff\ue000",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors: two threads that wait for each other cost more than they give on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stdlib_qwen2.build(tmp_path_factory.mktemp("cache"), recipe=TINY)


@pytest.fixture(scope="module")
def words(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_the_split_is_by_file_and_disjoint():
    files = corpus.split()
    assert not set(files.train) & set(files.held_out)
    assert 0.05 < len(files.held_out) / (len(files.train) + len(files.held_out)) < 0.2
    assert not set(corpus.read(files.root, files.train)) & set(corpus.read(files.root, files.held_out))
    assert not [p for p in files.train + files.held_out if "site-packages" in p or "/test" in p]


def test_the_split_depends_on_the_path_alone(tmp_path: Path):
    for number in range(60):
        (tmp_path / f"module_{number}.py").write_text(f"# {number}\n" + "x = 1\n" * 100)
    before = corpus.split(tmp_path)
    (tmp_path / "tests").mkdir()
    for name in ("tests/a.py", "_sysconfigdata__linux.py", "notes.txt"):
        (tmp_path / name).write_text("x = 1\n" * 100)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n" + b"x = 1\n" * 100)
    (tmp_path / "stub.py").write_text("x = 1\n")
    assert corpus.split(tmp_path) == before
    (tmp_path / before.train[0]).unlink()
    assert corpus.split(tmp_path).held_out == before.held_out


def test_a_library_without_sources_is_one_clear_line(tmp_path: Path):
    with pytest.raises(UserError, match="found 0 source files to train on and 0 to hold out"):
        corpus.split(tmp_path)


def test_the_pattern_is_qwen2s(words):
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert tokenizer.PATTERN == PRETOKENIZE_REGEX
    state = json.loads(words.backend_tokenizer.to_str())
    split, byte_level = state["pre_tokenizer"]["pretokenizers"]
    assert split["pattern"] == {"Regex": PRETOKENIZE_REGEX}
    assert (split["behavior"], split["invert"]) == ("Isolated", False)
    assert (byte_level["type"], byte_level["use_regex"], byte_level["add_prefix_space"]) == ("ByteLevel", False, False)
    assert state["normalizer"] == {"type": "NFC"}


@pytest.mark.parametrize("text", ADVERSARIAL, ids=range(len(ADVERSARIAL)))
def test_text_survives_a_round_trip(folder: Path, words, text: str):
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert words.encode(text) == plain.encode(text).ids
    for decode in (words.decode, partial(plain.decode, skip_special_tokens=False)):
        assert decode(words.encode(text)) == unicodedata.normalize("NFC", text)


def test_special_tokens_are_single_ids_at_the_end(words):
    ids = [words.convert_tokens_to_ids(token) for token in tokenizer.SPECIAL]
    assert ids == [len(words) - 3, len(words) - 2, len(words) - 1]
    assert [words.encode(token) for token in tokenizer.SPECIAL] == [[i] for i in ids]
    assert words.encode("a<|im_end|>b")[1] == ids[2]
    assert (words.eos_token, words.pad_token, words.bos_token) == ("<|im_end|>", "<|endoftext|>", None)


def test_the_chat_template_is_the_chat_prompt(words):
    for function in FUNCTIONS:
        request = chat_prompt(function).split("user\n")[1].split("<|im_end|>")[0]
        turns = [{"role": "user", "content": request}]
        assert words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == chat_prompt(function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_every_function_is_short_valid_python(function):
    (tree,) = ast.parse(expected(function)).body
    assert isinstance(tree, ast.FunctionDef)
    assert tree.name == function.name
    assert ast.get_docstring(tree) == function.summary
    assert 3 <= len(expected(function).splitlines()) <= 8
    assert expected(function).startswith(direct_prompt(function))


def test_the_functions_do_what_they_say():
    names: dict = {}
    for function in FUNCTIONS:
        exec(expected(function), names)
    assert names["clamp"](7, 0, 5) == 5
    assert names["median"]([3, 1, 2]) == 2
    assert names["median"]([4, 1, 2, 3]) == 2.5
    assert names["fibonacci"](6) == [0, 1, 1, 2, 3, 5]
    assert names["caesar"]("xyz", 3) == "abc"
    assert list(names["pairwise"]("abc")) == [("a", "b"), ("b", "c")]
    assert names["power"](3, 5) == 243
    assert names["to_binary"](10) == "1010"
    assert names["safe_divide"](1, 0) is None


def test_there_are_thirty_functions_with_unambiguous_prompts():
    assert len({f.name for f in FUNCTIONS}) == len(FUNCTIONS) == 30
    for prompt in (direct_prompt, chat_prompt):
        prompts = [prompt(f) for f in FUNCTIONS]
        assert not [(a, b) for i, a in enumerate(prompts) for j, b in enumerate(prompts) if i != j and b.startswith(a)]


def test_a_prompts_tokens_are_the_beginning_of_the_whole(words):
    for function in FUNCTIONS:
        for prompt, whole in zip((direct_prompt(function), chat_prompt(function)), sequences(function), strict=True):
            head, ids = words.encode(prompt), words.encode(whole)
            assert ids[: len(head)] == head
            assert len(ids) <= Recipe().window


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


def test_held_out_files_exist_and_were_not_trained_on(folder: Path):
    files = stdlib_qwen2.held_out(folder)
    assert files
    assert all(path.is_file() for path in files)
    assert not {p.relative_to(corpus.split().root).as_posix() for p in files} & set(corpus.split().train)


def test_held_out_refuses_another_library(folder: Path, tmp_path: Path):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    facts = stdlib_qwen2.provenance(other)
    facts["held_out_files"] = facts["held_out_files"][1:]
    (other / "recipe.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match="use the Python that built it"):
        stdlib_qwen2.held_out(other)
    with pytest.raises(UserError, match="expected a folder made by models"):
        stdlib_qwen2.held_out(tmp_path)


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


def test_the_cache_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("HARNESS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.root() == Path.home() / ".cache" / "harness"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "harness"
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "own"))
    assert cache.root() == tmp_path / "own"


def _write_two(folder: Path) -> None:
    (folder / "a").write_text("one")
    (folder / "b").write_text("two")


@pytest.mark.parametrize("harm", ["changed", "missing", "no digests", "empty digests", "digests not JSON"])
def test_a_damaged_folder_is_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str):
    folder = cache.get(tmp_path / "x", _write_two)
    assert cache.damage(folder) is None
    if harm == "changed":
        (folder / "a").write_text("onf")
    elif harm == "missing":
        (folder / "b").unlink()
    elif harm == "no digests":
        (folder / cache.DIGESTS).unlink()
    else:
        (folder / cache.DIGESTS).write_text("{}" if harm == "empty digests" else "{")
    cache.get(folder, _write_two)
    notice = capsys.readouterr().err
    assert notice.count("\n") == 1
    assert "damaged" in notice
    assert cache.damage(folder) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.lock"]


def test_a_file_put_beside_the_built_ones_is_left_alone(tmp_path: Path):
    folder = cache.get(tmp_path / "x", _write_two)
    (folder / "model.gguf").write_text("exported")
    cache.get(folder, lambda _: pytest.fail("built again"))
    assert (folder / "model.gguf").read_text() == "exported"


def test_a_failed_or_killed_build_leaves_no_folder(tmp_path: Path):
    def fail(folder: Path) -> None:
        _write_two(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get(tmp_path / "x", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["x.lock"]
    (tmp_path / ".x.killed").mkdir()
    _write_two(tmp_path / ".x.killed")
    cache.get(tmp_path / "x", _write_two)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.lock"]


def _slowly(folder: Path) -> None:
    import time

    time.sleep(0.5)
    _write_two(folder)
    (folder.parent / f"built-{os.getpid()}").touch()


def test_two_processes_build_once(tmp_path: Path):
    fork = multiprocessing.get_context("spawn")
    workers = [fork.Process(target=cache.get, args=(tmp_path / "x", _slowly)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert cache.damage(tmp_path / "x") is None
    assert len(list(tmp_path.glob("built-*"))) == 1


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="set HARNESS_CACHE to a writable folder"):
        cache.get(tmp_path / "file" / "x", _write_two)
