"""`harness inspect`: what a model file holds."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.commands.arguments import JSON
from harness.errors import UserError

NAME = "inspect"
HELP = "what a GGUF or safetensors file, or a checkpoint folder, holds"


def arguments(parser: argparse.ArgumentParser) -> None:
    """FILE [--model HF_DIR] [--json]"""
    add = parser.add_argument
    add("path", metavar="FILE", help="a .gguf or .safetensors file, or a folder")
    add("--model", metavar="HF_DIR", help="check that a PEFT adapter folder fits this checkpoint's config")
    add("--json", action="store_true", help=JSON)


def run(args: argparse.Namespace) -> int:
    """Print the keys, tensors, tokenizer and totals of one file or folder.

    With `model`, a checkpoint folder, `path` is a PEFT adapter folder, which is checked against that model's config.
    Raises: UserError if the file is not a whole GGUF or safetensors file, or does not fit the model.
    """
    from harness.checkpoint import read_config
    from harness.report.inspection import print_inspection
    from harness.words.plain import say_json

    try:
        found = import_module("harness.formats.inspection").inspect(args.path)
        if (Path(args.path) / "config.json").is_file():
            found["keys"] |= {"reference": _reference(args.path, found)}
        if args.model is not None:
            fitting = import_module("harness.formats.peft_adapter").load(args.path, read_config(args.model))
            found["keys"] |= {"fits": f"{args.model}: {len(fitting)} layers"}
    except import_module("harness.formats.errors").Malformed as problem:
        raise UserError(str(problem)) from None
    if args.json:
        say_json(found)
    else:
        print_inspection(found)
    return 0


def _reference(folder: str, found: dict[str, Any]) -> str:
    """Which reference a checkpoint folder gets, and the key or tensor that decides."""
    from harness.checkpoint import read_config

    config, shapes = read_config(folder), {each["name"]: tuple(each["shape"]) for each in found["tensors"]}
    try:
        stored = import_module("harness.reference.model.families").declare(config)
        stored.fits(shapes)
    except ValueError as problem:
        return f"{_elsewhere(config)} ({problem})"
    return f"declared: {stored.kind}"


def _elsewhere(config: dict[str, Any]) -> str:
    try:
        known = import_module("transformers.models.auto.modeling_auto").MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    except ImportError:
        return "none without transformers"
    return "transformers in float64" if config.get("model_type") in known else "none"
