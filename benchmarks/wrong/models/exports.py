"""Exported GGUF files, wrong in one key or tensor each: the torch candidate's file, changed after it was written."""

import struct
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

import harness.candidates.torch as eager
from harness.falsifiers.baselines import checkpoints, crafted_tokenizer
from harness.formats import gguf_export, gguf_tokenizer
from wrong.models.decoding import small, weights_of
from wrong.version import Version

HEADERS = ("harness.falsifiers.packaging.gguf:header", "harness.falsifiers.packaging.tokenizer_file:embedded")
INTEGER, FLOAT = 4, 6
"""GGUF's numbers for the types uint32 and float32."""


def _exporter(change):
    def export_gguf(folder, path, kind, *, tokenizer=True):
        eager.export_gguf(folder, path, kind, tokenizer=tokenizer)
        Path(path).write_bytes(change(Path(path).read_bytes()))

    return SimpleNamespace(ARRAYS="torch", export_gguf=export_gguf)


def _set(data, key, kind, change):
    """The file with one number of its header changed; a file without the key stays as it is."""
    name = key.encode()
    at = data.find(struct.pack("<Q", len(name)) + name + struct.pack("<I", kind))
    if at < 0:
        return data
    at += 8 + len(name) + 4
    form = "<I" if kind == INTEGER else "<f"
    return data[:at] + struct.pack(form, change(struct.unpack_from(form, data, at)[0])) + data[at + 4 :]


def start_token_of_five(wrong):
    """The file's start token has id 5, whether the tokenizer has one or not."""

    def keys(folder, rows):
        return gguf_tokenizer.tokenizer_keys(folder, rows) | ({"tokenizer.ggml.bos_token_id": 5} if wrong else {})

    def export_gguf(folder, path, kind, *, tokenizer=True):
        with patch.object(gguf_export, "tokenizer_keys", keys):
            eager.export_gguf(folder, path, kind, tokenizer=tokenizer)

    return SimpleNamespace(ARRAYS="torch", export_gguf=export_gguf)


def end_token_of_zero(wrong):
    """The file's end token has id 0."""
    return _exporter(lambda data: _set(data, "tokenizer.ggml.eos_token_id", INTEGER, lambda _: 0) if wrong else data)


def base_of_ten_thousand(wrong):
    """The file's rope base is 10,000."""
    return _exporter(lambda data: _set(data, "qwen2.rope.freq_base", FLOAT, lambda _: 1e4) if wrong else data)


def eps_of_one_hundred_thousandth(wrong):
    """The file's norm eps is 1e-5 for Llama, whatever the config says."""
    key = "llama.attention.layer_norm_rms_epsilon"
    return _exporter(lambda data: _set(data, key, FLOAT, lambda _: 1e-5) if wrong else data)


def context_in_thousands(wrong):
    """The file's context length is at most 2,048."""
    key = "qwen2.context_length"
    return _exporter(lambda data: _set(data, key, INTEGER, lambda n: min(n, 2048)) if wrong else data)


def exported(model_type="qwen2", words=False, **changed):
    """A trigger: the bytes of an exported file."""

    def call(f, r):
        from tempfile import TemporaryDirectory

        config = small(model_type=model_type, **changed) | {"max_position_embeddings": 4096}
        if words:
            config["vocab_size"] = 320
        weights = {name: w.numpy() for name, w in weights_of(config, r).items()}
        with TemporaryDirectory() as place:
            folder, path = Path(place) / "folder", Path(place) / "model.gguf"
            checkpoints.write_folder(folder, config, weights)
            if words:
                crafted_tokenizer.write(folder)
            f.export_gguf(str(folder), str(path), "F32", tokenizer=words)
            return np.frombuffer(path.read_bytes(), np.uint8)

    return call


OP = "export_gguf"
VERSIONS = (
    Version(
        start_token_of_five,
        OP,
        exported(words=True),
        "Synthetic: ids of another tokenizer stay in a template of the header",
        falsifiers=HEADERS,
    ),
    Version(
        end_token_of_zero,
        OP,
        exported(words=True),
        "Synthetic: the key is missing in one file of the folder, and 0 is the default",
        falsifiers=HEADERS,
    ),
    Version(
        base_of_ten_thousand,
        OP,
        exported(rope_theta=1e6),
        "Synthetic: rope_theta moved into rope_parameters, and a reader of the old key finds its default",
        falsifiers=HEADERS,
    ),
    Version(
        eps_of_one_hundred_thousandth,
        OP,
        exported("llama"),
        "Synthetic: a default for one family, which most of its models have",
        rare="one family and option",
        falsifiers=HEADERS,
    ),
    Version(
        context_in_thousands,
        OP,
        exported(),
        "Synthetic: the table's length is written for the model's",
        rare="one option",
        falsifiers=HEADERS,
    ),
)
