"""One reader of checkpoints: the index is followed, a stray shard is no part of it, float64 stays float64."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from harness import checkpoint
from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.inputs.exported import build
from harness.formats import checkpoint_audit, gguf_import
from harness.formats.errors import Malformed
from harness.formats.gguf_export import export
from harness.formats.safetensors_weights import read_tensors, read_weights

THIRD = np.array([[1 / 3, 1.0]])
"""No float32 number is 1/3."""
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards and their index."""
    save_file({"a": THIRD, "b": np.float16([1.5])}, tmp_path / ONE)
    save_file({"c": np.array([2.5], ml_dtypes.bfloat16), "d": np.float32([0.1])}, tmp_path / TWO)
    _index(tmp_path, a=ONE, b=ONE, c=TWO, d=TWO)
    return tmp_path


def _index(folder: Path, **weight_map: str) -> None:
    (folder / checkpoint.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_float64_stays_and_what_is_narrower_becomes_float32(folder: Path) -> None:
    found = read_weights(folder)
    assert {name: tensor.dtype.name for name, tensor in found.items()} == {
        "a": "float64",
        "b": "float32",
        "c": "float32",
        "d": "float32",
    }
    assert found["a"].tobytes() == THIRD.tobytes()
    assert (found["b"], found["c"], found["d"]) == (1.5, 2.5, np.float32(0.1))
    assert read_tensors(folder / ONE)["a"].tobytes() == THIRD.tobytes()


def test_a_stray_shard_is_no_part_of_the_checkpoint(folder: Path) -> None:
    save_file({"a": THIRD + 1, "stray": np.float32([9])}, folder / "consolidated.safetensors")
    for read in (read_weights, checkpoint.read_weights):
        found = read(folder)
        assert set(found) == {"a", "b", "c", "d"}
        assert found["a"].tobytes() == THIRD.tobytes()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "the index names a file that is not there": (lambda f: (f / TWO).unlink(), TWO),
    "the index lists a tensor that no shard holds": (
        lambda f: _index(f, a=ONE, b=ONE, c=TWO, d=TWO, e=TWO),
        r"missing \['e'\]",
    ),
    "a shard holds a tensor that the index does not list": (
        lambda f: _index(f, a=ONE, c=TWO, d=TWO),
        r"not listed \['b'\]",
    ),
    "the index is a list": (lambda f: (f / checkpoint.INDEX).write_text("[]"), "found no weight_map"),
    "the index maps to a number": (lambda f: _index(f, a=3), "points to 3, expected a file"),  # type: ignore[arg-type]
    "neither file": (lambda f: (f / checkpoint.INDEX).unlink(), "found neither model.safetensors nor"),
    "whole numbers": (
        lambda f: save_file({"a": np.arange(2), "b": np.arange(2)}, f / ONE),
        "'a' has type I64, expected F32",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_no_checkpoint_is_one_line(name: str, folder: Path) -> None:
    spoil, words = DAMAGE[name]
    spoil(folder)
    with pytest.raises(Malformed, match=words) as told:
        read_weights(folder)
    assert "\n" not in str(told.value)


def test_a_type_that_numpy_has_not_is_one_line(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(Malformed, match="tensor 'w' has type F8_E4M3, expected F32"):
        read_weights(tmp_path)
    with pytest.raises(UserError, match="tensor w has type F8_E4M3, expected one of F64, F32"):
        checkpoint.read_weights(tmp_path)


def _sharded(folder: Path) -> dict[str, np.ndarray]:
    """A tiny Qwen2 in two shards, all float64; one value lies just above the middle of two float16 numbers."""
    config, weights = build(Case(dtype="float32", seed=1), "qwen2")
    checkpoints.write_folder(folder, config, weights)
    (folder / "model.safetensors").unlink()
    wide = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    wide["model.embed_tokens.weight"][0, 0] = 1 + 2.0**-11 + 2.0**-40
    names = sorted(wide)
    save_file({name: wide[name] for name in names[:5]}, folder / ONE)
    save_file({name: wide[name] for name in names[5:]}, folder / TWO)
    _index(folder, **{name: ONE if name in names[:5] else TWO for name in names})
    return wide


def test_an_export_follows_the_index_and_rounds_once(tmp_path: Path) -> None:
    wide = _sharded(tmp_path)
    save_file({"lm_head.weight": np.float32([[9]])}, tmp_path / "stray.safetensors")
    export(tmp_path, tmp_path / "out.gguf", type="F16", tokenizer=False)
    _, weights = gguf_import.load(tmp_path / "out.gguf")
    assert weights["model.embed_tokens.weight"][0, 0] == np.float16(1 + 2.0**-10)
    name = "model.layers.0.mlp.down_proj.weight"
    assert np.array_equal(weights[name], wide[name].astype(np.float16))


def test_the_audit_counts_what_the_index_lists(tmp_path: Path) -> None:
    _sharded(tmp_path)
    clean = checkpoint_audit.audit(tmp_path)
    assert not [line for line in clean if "safetensors" in line or "tensors say" in line]
    save_file({"model.layers.7.x": np.float32([9])}, tmp_path / "stray.safetensors")
    assert checkpoint_audit.audit(tmp_path) == clean
    listed = json.loads((tmp_path / checkpoint.INDEX).read_text())["weight_map"]
    del listed["model.norm.weight"]
    _index(tmp_path, **listed)
    assert any("model.norm.weight" in line for line in checkpoint_audit.audit(tmp_path))
