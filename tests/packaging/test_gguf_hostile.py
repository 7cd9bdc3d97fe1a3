"""Hostile GGUF files and hostile model folders: read, or refused in one line."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.falsifiers.baselines.gguf.rewrite import rewrite
from harness.formats.errors import Malformed
from harness.formats.gguf_export import export
from harness.formats.gguf_import import load
from harness.formats.inspection import inspect


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
