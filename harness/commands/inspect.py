"""`harness inspect`: what a model file holds."""

from __future__ import annotations

from importlib import import_module

from harness.checkpoint import read_config
from harness.errors import UserError
from harness.report.terminal import print_inspection, print_json


def run(path: str, *, model: str | None, as_json: bool) -> int:
    """Print the keys, tensors, tokenizer and totals of one file or folder.

    With `model`, a checkpoint folder, `path` is a PEFT adapter folder, and first held to that model's config.
    Raises: UserError with one line when it is not a whole GGUF or safetensors file, or does not fit the model.
    """
    try:
        found = import_module("harness.formats.inspection").inspect(path)
        if model is not None:
            fitting = import_module("harness.formats.peft_adapter").load(path, read_config(model))
            found["keys"] |= {"fits": f"{model}: {len(fitting)} layers"}
    except import_module("harness.formats.errors").Malformed as problem:
        raise UserError(str(problem)) from None
    if as_json:
        print_json(found)
    else:
        print_inspection(found)
    return 0
