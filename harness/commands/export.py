"""`harness export`: a checkpoint folder to a GGUF file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from harness.errors import UserError


def run(folder: str, out: str, *, kind: str, tokenizer: bool) -> int:
    """Write the GGUF file and say what it holds; nothing is left behind when it cannot be made.

    Raises: UserError with one line naming the key, the tensor or the file that does not fit.
    """
    path = Path(out)
    if not path.parent.is_dir():
        raise UserError(f"{out}: the folder {path.parent} does not exist; make it, or name another file")
    try:
        plan = import_module("harness.formats.gguf_export").export(folder, path, type=kind, tokenizer=tokenizer)
    except import_module("harness.formats.errors").Malformed as problem:
        raise UserError(str(problem)) from None
    except ModuleNotFoundError as problem:
        raise UserError(f"export: {problem.name} is not installed; pip install harness[interop]") from None
    kinds = sorted({entry.type for entry in plan.entries})
    print(
        f"{path}: {plan.architecture}, {len(plan.entries)} tensors ({', '.join(kinds)}), {path.stat().st_size:,} bytes"
    )
    return 0
