"""Export checkpoints to GGUF, import them, and audit checkpoint folders, with `harness.formats`."""

from __future__ import annotations

from typing import Any

import torch

from harness.formats import checkpoint_audit, gguf_export, gguf_import

ARRAYS = "torch"


def export_gguf(folder: str, path: str, kind: str, *, tokenizer: bool = True) -> None:
    """Write a Hugging Face folder's model to a GGUF file, its matrices in `kind` (F32, F16, BF16, Q8_0, Q4_0).

    Raises: ValueError with one line naming the key, the tensor or the file that does not fit.
    """
    gguf_export.export(folder, path, type=kind, tokenizer=tokenizer)


def import_gguf(path: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """(config, weights) of a GGUF file, with Hugging Face names, in float32. Raises: ValueError with one line."""
    config, weights = gguf_import.load(path)
    return config, {name: torch.from_numpy(tensor.copy()) for name, tensor in weights.items()}


def audit_checkpoint(folder: str) -> list[str]:
    """One line for each missing or contradictory item of a checkpoint folder; an empty list for a complete folder."""
    return checkpoint_audit.audit(folder)
