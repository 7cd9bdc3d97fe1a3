"""Whether a checkpoint folder is enough by itself: architecture, tensors, tokenizer, licence, provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness import checkpoint
from harness.errors import UserError
from harness.formats import safetensors_header
from harness.formats.architecture import with_rope
from harness.formats.errors import Malformed
from harness.formats.json_object import read_object

WHOLE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size")
KEYS = (*WHOLE, "vocab_size", "max_position_embeddings", "rope_theta", "rms_norm_eps")
"""The nine that every consumer asks for."""
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
LICENCES, PROVENANCE = ("LICENSE", "LICENSE.txt", "LICENSE.md"), ("recipe.json", "README.md", "training_args.json")


def audit(folder: str | Path) -> list[str]:
    """One line for each thing that is missing or contradicts another, with both values; none for a whole folder.

    Raises: Malformed if there is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise Malformed(f"{folder}: no such folder; expected a checkpoint folder")
    problems = []
    try:
        config = read_object(folder / "config.json")
        flat = with_rope(config)
    except Malformed as problem:
        return [str(problem)]
    problems += _typed(flat)
    problems += _against_tensors(folder, config)
    problems += [
        f"{name}: missing; text cannot be cut as in training" for name in TOKENIZER if not _there(folder, name)
    ]
    for what, names in (("licence", LICENCES), ("provenance", PROVENANCE)):
        if not any(_there(folder, name) for name in names):
            problems.append(f"{what}: found none of {', '.join(names)}, or an empty one")
    return problems


def _typed(flat: dict[str, Any]) -> list[str]:
    problems = []
    for key in KEYS:
        found = flat.get(key)
        whole = key not in ("rope_theta", "rms_norm_eps")
        typed = isinstance(found, int if whole else (int, float)) and not isinstance(found, bool)
        if not typed or not 0 < float(str(found)) < float("inf"):
            expected = "a positive whole number" if whole else "a positive finite number"
            problems.append(f"config.json: found {key} {found!r}, expected {expected}")
    return problems


def _against_tensors(folder: Path, config: dict[str, Any]) -> list[str]:
    shapes: dict[str, tuple[int, ...]] = {}
    problems = []
    try:
        for shard, listed in checkpoint.shards(folder).items():
            held = {tensor.name: tensor.shape for tensor in safetensors_header.read(folder / shard).tensors}
            if listed is not None and (differ := sorted(listed ^ set(held))):
                problems.append(f"{shard}: its tensors differ from {checkpoint.INDEX}, first {differ[0]!r}")
            shapes |= held
    except (Malformed, UserError) as problem:
        return [str(problem)]
    return problems + [
        f"config.json: found {key} {config.get(key)!r}, but the tensors say {value}{_given(key, config)}"
        for key, value in _measured(shapes, config).items()
        if config.get(key) != value
    ]


def _given(key: str, config: dict[str, Any]) -> str:
    """Key heads are counted by the width of a head, which follows from the number of all heads."""
    return f" with num_attention_heads {config.get('num_attention_heads')}" if key == "num_key_value_heads" else ""


def _measured(shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> dict[str, Any]:
    """What the tensors say of the config's figures; a figure that no tensor shows is not among them."""
    found: dict[str, Any] = {}
    embedding = shapes.get("model.embed_tokens.weight")
    if embedding is not None:
        found |= {"vocab_size": embedding[0], "hidden_size": embedding[1]}
    layers = {name.split(".")[2] for name in shapes if name.startswith("model.layers.")}
    found["num_hidden_layers"] = len(layers)
    gate = shapes.get("model.layers.0.mlp.gate_proj.weight")
    if gate is not None:
        found["intermediate_size"] = gate[0]
    q, k = (shapes.get(f"model.layers.0.self_attn.{n}_proj.weight") for n in "qk")
    heads = config.get("num_attention_heads")
    if q is not None and k is not None and isinstance(heads, int) and heads > 0:
        width = config.get("head_dim")
        if isinstance(width, int) and width > 0:
            found |= {"num_attention_heads": q[0] // width, "num_key_value_heads": k[0] // width}
        elif q[0] % heads == 0:
            found["num_key_value_heads"] = k[0] * heads / q[0] if (k[0] * heads) % q[0] else k[0] * heads // q[0]
        else:
            found["num_attention_heads"] = f"a divisor of {q[0]}"
    found["tie_word_embeddings"] = "lm_head.weight" not in shapes
    if "tie_word_embeddings" not in config and not found["tie_word_embeddings"]:
        del found["tie_word_embeddings"]
    return found


def _there(folder: Path, name: str) -> bool:
    return (folder / name).is_file() and (folder / name).stat().st_size > 0
