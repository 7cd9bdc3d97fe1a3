"""`harness inspect`: what a model file holds."""

from __future__ import annotations

from importlib import import_module

from harness.errors import UserError
from harness.terminal import print_inspection, print_json


def run(path: str, *, as_json: bool) -> int:
    """Print the keys, tensors, tokenizer and totals of one file or folder.

    Raises: UserError with one line when it is not a whole GGUF or safetensors file.
    """
    try:
        found = import_module("formats.inspection").inspect(path)
    except import_module("formats.errors").Malformed as problem:
        raise UserError(str(problem)) from None
    if as_json:
        print_json(found)
    else:
        print_inspection(found)
    return 0
