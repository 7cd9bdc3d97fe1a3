"""The README's table of families, from the declarations of small folders: `python -m tests.house.family_table`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from transformers import AutoConfig

from harness.models.families import FAMILIES as FOLDERS
from harness.models.families.folder import config_of
from harness.reference.model.declaration import Attention, Block, Experts, Mamba2
from harness.reference.model.families import FAMILIES, declare
from harness.reference.model.tensors import Stored
from tests.support.repository import ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"(?<=<!-- families -->\n).*?(?=<!-- end of families -->)", re.DOTALL)


def table() -> str:
    """One line per family: its class in transformers, and what it has beside plain attention and SwiGLU."""
    lines = ["| `model_type` | class in transformers | beside RoPE, grouped heads and a gated MLP |", "|---|---|---|"]
    for family in FAMILIES:
        found = sorted({word for stored in _declared(family) for word in _parts(stored)}, key=lambda word: word.lower())
        lines.append(f"| `{family}` | {FOLDERS[family].architecture} | {', '.join(found) or '–'} |")
    return "\n".join(lines) + "\n"


def _declared(family: str) -> Iterator[Stored]:
    for variant in FOLDERS[family].variants:
        try:
            known = AutoConfig.for_model(family, **config_of(family, variant))
            yield declare(json.loads(known.to_json_string(use_diff=False)))
        except ValueError:
            continue


def _parts(stored: Stored) -> Iterator[str]:
    decoder = stored.decoder
    for block in decoder.blocks:
        yield from _block(block)
        for mixer in block.mixers:
            if isinstance(mixer, Attention):
                yield from _attention(mixer)
            else:
                yield "Mamba 2" if isinstance(mixer, Mamba2) else "gated delta net"
    if decoder.embed_factor != 1 or decoder.logit_factor != 1 or any(block.residual != 1 for block in decoder.blocks):
        yield "multipliers"
    if decoder.logit_softcap:
        yield "capped logits"


def _block(block: Block) -> Iterator[str]:
    if block.before_mixer and block.after_mixer:
        yield "sandwich norms"
    elif block.after_mixer:
        yield "norms behind"
    if isinstance(block.feed, Experts):
        yield "experts"
        yield from ["shared expert"] * (block.feed.shared is not None)
        yield from ["corrected choice in groups"] * (block.feed.groups > 1)


def _attention(a: Attention) -> Iterator[str]:
    told = {
        "latent attention": a.latent,
        "window": a.window,
        "capped scores": a.softcap,
        "sinks": a.sinks,
        "output gate": a.gated,
        "q/k norms": a.query_norm,
        "layers without positions": a.rope is None,
        "temperature": a.temperature,
    }
    yield from (word for word, there in told.items() if there)
    if a.rope is not None:
        kind = dict(a.rope.scaling).get("rope_type")
        yield from [f"RoPE {kind}"] * (kind is not None)


if __name__ == "__main__":
    README.write_text(BLOCK.sub(table(), README.read_text(encoding="utf-8")), encoding="utf-8")
