"""`harness inspect`: what a model file holds."""

from __future__ import annotations

import argparse
from importlib import import_module

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
