"""`harness export`: a checkpoint folder to a GGUF file."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from harness.errors import UserError
from harness.words.plain import say

NAME = "export"
HELP = "a checkpoint folder to a GGUF file"
KINDS = ("f32", "f16", "bf16", "q8_0", "q4_0")


def arguments(parser: argparse.ArgumentParser) -> None:
    """HF_DIR OUT.gguf [--type T] [--no-tokenizer]"""
    add = parser.add_argument
    add("folder", metavar="HF_DIR", help="a Hugging Face checkpoint folder")
    add("out", metavar="OUT.gguf", help="the file to write")
    add("--type", choices=KINDS, default="f32", type=str.lower, help="type of the matrices; vectors stay f32")
    add(
        "--no-tokenizer",
        dest="tokenizer",
        action="store_false",
        help="leave the tokenizer out; the file then gives logits only",
    )


def run(args: argparse.Namespace) -> int:
    """Write the GGUF file and print what it holds; leave no file behind on an error.

    Raises: UserError that names the key, tensor or file that does not fit.
    """
    path = Path(args.out)
    if not path.parent.is_dir():
        raise UserError(f"{args.out}: the folder {path.parent} does not exist; make it, or name another file")
    try:
        plan = import_module("harness.formats.gguf_export").export(
            args.folder, path, type=args.type, tokenizer=args.tokenizer
        )
    except import_module("harness.formats.errors").Malformed as problem:
        raise UserError(str(problem)) from None
    except ModuleNotFoundError as problem:
        raise UserError(f"export: {problem.name} is not installed; pip install harness[interop]") from None
    kinds = sorted({entry.type for entry in plan.entries})
    say(f"{path}: {plan.architecture}, {len(plan.entries)} tensors ({', '.join(kinds)}), {path.stat().st_size:,} bytes")
    return 0
