"""Audits that cannot fail, or always do (system E1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.mutant import mutant, replace


@mutant
def presence_alone(baseline: Any) -> Any:
    """Keys are looked for, not compared with the tensors (system E1)."""
    return _audit(baseline, lambda found, folder: [p for p in found if "tensors say" not in p])


@mutant
def six_of_nine(baseline: Any) -> Any:
    """Theta, eps and the longest position are nobody's keys (system E1)."""
    left = ("rope_theta", "rms_norm_eps", "max_position_embeddings is")
    return _audit(baseline, lambda found, folder: [p for p in found if not p.startswith(left)])


@mutant
def papers_not_asked_for(baseline: Any) -> Any:
    """Licence and provenance are left to somebody else (system E1)."""
    return _audit(baseline, lambda found, folder: [p for p in found if not p.startswith(("licence", "provenance"))])


@mutant
def tokenizer_not_asked_for(baseline: Any) -> Any:
    """The tokenizer is taken from the model's name on a hub (system E2)."""
    return _audit(baseline, lambda found, folder: [p for p in found if "tokenizer" not in p])


@mutant
def counts_alone(baseline: Any) -> Any:
    """Says how many problems there are, and not which (system E1)."""
    return _audit(baseline, lambda found, folder: [f"{len(found)} problems"] if found else [])


@mutant
def keys_it_does_not_know(baseline: Any) -> Any:
    """Every key beyond the nine is a problem: no folder passes (system E1)."""

    def edit(found: list[str], folder: str) -> list[str]:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        return found + [f"{key}: unknown" for key in config if key == "architectures"]

    return _audit(baseline, edit)


def _audit(baseline: Any, edit: Any) -> Any:
    return replace(baseline, audit_checkpoint=lambda folder: edit(baseline.audit_checkpoint(folder), folder))
