"""Summarise a model file: keys, tensors, tokenizer, totals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from harness.formats import gguf_header, safetensors_header, tokenizer_json
from harness.formats.errors import Malformed
from harness.formats.gguf_header import ArrayValue
from harness.formats.json_object import read_object

SHOWN = 6
"""How many elements of an array are shown."""
INDEX = "model.safetensors.index.json"


def inspect(path: str | Path) -> dict[str, Any]:
    """Format, keys, tensors, tokenizer and totals of a GGUF or safetensors file, or of a Hugging Face folder.

    The file's content decides the format, not its name.
    Raises: Malformed with one line if the file is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
    except OSError as problem:
        raise Malformed(f"{path}: cannot be read ({problem.strerror or problem})") from None
    return _gguf(path) if magic == b"GGUF" else _safetensors([path], path)


def _gguf(path: Path) -> dict[str, Any]:
    header = gguf_header.read(path)
    tensors = [
        {"name": t.name, "type": t.type, "shape": list(t.shape), "bytes": t.bytes, "offset": t.offset}
        for t in header.tensors
    ]
    return {
        "file": str(path),
        "format": f"GGUF {header.version}",
        "keys": {name: _shown(path, value) for name, value in header.keys.items()},
        "tensors": tensors,
        "tokenizer": _gguf_tokenizer(path, header),
        "totals": {**_totals(tensors), "trailing_bytes": header.trailing_bytes, "alignment": header.alignment},
    }


def _shown(path: Path, value: Any) -> Any:
    if isinstance(value, ArrayValue):
        first = gguf_header.read_array(path, value, most=SHOWN)
        return {"length": value.count, "first": [_plain(item) for item in first]}
    return _plain(value)


def _plain(value: Any) -> Any:
    """Convert to a value that strict JSON can hold: NaN and infinities become their names."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _gguf_tokenizer(path: Path, header: gguf_header.GgufHeader) -> dict[str, Any] | None:
    keys = header.keys
    model = keys.get("tokenizer.ggml.model")
    if model is None:
        return None
    tokens, merges = keys.get("tokenizer.ggml.tokens"), keys.get("tokenizer.ggml.merges")
    types = keys.get("tokenizer.ggml.token_type")
    kinds = gguf_header.read_array(path, types) if isinstance(types, ArrayValue) else []
    ids = {name.removeprefix("tokenizer.ggml.").removesuffix("_token_id"): value
           for name, value in keys.items() if name.endswith("_token_id")}  # fmt: skip
    return {
        "model": model,
        "pre": keys.get("tokenizer.ggml.pre"),
        "tokens": tokens.count if isinstance(tokens, ArrayValue) else None,
        "unused": sum(kind == UNUSED for kind in kinds),
        "merges": merges.count if isinstance(merges, ArrayValue) else None,
        "special_ids": ids,
        "chat_template": "tokenizer.chat_template" in keys,
    }


UNUSED = 5
"""gguf.TokenType.UNUSED: the type of placeholder tokens that fill up the embedding's rows."""


def _safetensors(shards: list[Path], shown: Path) -> dict[str, Any]:
    tensors, metadata = [], {}
    for shard in shards:
        header = safetensors_header.read(shard)
        metadata.update(header.metadata)
        tensors += [
            {"name": t.name, "type": t.type, "shape": list(t.shape), "bytes": t.end - t.begin, "offset": t.begin}
            for t in header.tensors
        ]
    return {
        "file": str(shown),
        "format": "safetensors",
        "keys": dict(sorted(metadata.items())),
        "tensors": tensors,
        "tokenizer": None,
        "totals": _totals(tensors),
    }


def _folder(folder: Path) -> dict[str, Any]:
    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise Malformed(f"{folder}: found no *.safetensors, expected a Hugging Face checkpoint or adapter folder")
    keys: dict[str, Any] = {}
    for name in ("config.json", "adapter_config.json"):
        if (folder / name).is_file():
            keys.update(_plain(read_object(folder / name)))
    return {
        **_safetensors(shards, folder),
        "format": "PEFT adapter" if (folder / "adapter_config.json").is_file() else "Hugging Face folder",
        "keys": keys,
        "tokenizer": _folder_tokenizer(folder),
    }


def _folder_tokenizer(folder: Path) -> dict[str, Any] | None:
    if not (folder / "tokenizer.json").is_file():
        return None
    words = tokenizer_json.read(folder)
    ids = {**words.vocab, **{text: token.id for text, token in words.added.items()}}
    return {
        "model": words.type,
        "pre": words.pre,
        "tokens": len(ids),
        "unused": 0,
        "merges": len(words.merges),
        "special_ids": {role: ids.get(text) for role, text in words.special.items()},
        "chat_template": words.template is not None,
    }


def _totals(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    by_type: dict[str, dict[str, int]] = {}
    for tensor in tensors:
        entry = by_type.setdefault(tensor["type"], {"tensors": 0, "parameters": 0, "bytes": 0})
        entry["tensors"] += 1
        entry["parameters"] += math.prod(tensor["shape"])
        entry["bytes"] += tensor["bytes"]
    return {
        "tensors": len(tensors),
        "parameters": sum(entry["parameters"] for entry in by_type.values()),
        "bytes": sum(entry["bytes"] for entry in by_type.values()),
        "by_type": dict(sorted(by_type.items())),
    }
