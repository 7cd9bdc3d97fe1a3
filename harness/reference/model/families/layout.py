"""From roles to the names and layouts of a file: the usual names, and what a family changes in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.reference.model.declaration import Decoder, Experts
from harness.reference.model.families.keys import Keys
from harness.reference.model.tensors import Part, Shape, Stored, roles

Family = Callable[[Mapping[str, Any]], Stored]


def family(**defaults: Any) -> Callable[[Callable[[Keys], Stored]], Family]:
    """Declare a function as the family whose `model_type` is its name; every module here is looked through.

    Units:  defaults are what transformers' class takes for keys that a config does not have at all.
    """

    def declared(read: Callable[[Keys], Stored]) -> Family:
        def of(config: Mapping[str, Any]) -> Stored:
            return read(Keys({**defaults, **config}))

        of.is_family, of.__doc__ = True, read.__doc__  # type: ignore[attr-defined]
        return of

    return declared


OUTER = {"embed": "model.embed_tokens", "final_norm": "model.norm", "head": "lm_head"}
INNER = {
    "before_mixer": "input_layernorm",
    "after_mixer": "post_attention_layernorm",
    "before_feed": "post_attention_layernorm",
    "after_feed": "post_feedforward_layernorm",
    **{role: f"self_attn.{role}_proj" for role in "qkvo"},
    **{role: f"self_attn.{role}" for role in ("q_norm", "k_norm", "sinks")},
    **{role: f"mlp.{role}_proj" for role in ("gate", "up", "down")},
    "scalar": "layer_scalar",
    "delta": "linear_attn",
    "mamba": "mamba",
    "router": "mlp.gate",
    "router.correction": "mlp.gate.e_score_correction_bias",
    **{f"experts.{role}": f"mlp.experts.{{e}}.{role}_proj" for role in ("gate", "up", "down")},
    **{f"shared.{role}": f"mlp.shared_expert.{role}_proj" for role in ("gate", "up", "down")},
    "shared_gate": "mlp.shared_expert_gate",
}
"""Role of a module -> its usual name in a block."""


@dataclass(frozen=True)
class Slice:
    """Rows of a stored tensor: `rows` of its `total`; `turned` as in `Part`."""

    name: str
    rows: range | tuple[int, ...] | None = None
    total: int = 0
    turned: bool = False


Names = Mapping[str, str | Slice]


def stored(
    kind: str,
    keys: Keys,
    decoder: Decoder,
    names: Names | None = None,
    *,
    layer: str = "model.layers.{i}.",
    outer: Mapping[str, str] | None = None,
) -> Stored:
    """The layout of a file with the usual names, but for `names` of modules or tensors.

    Raises: ValueError for a key of the config that the family has not read.
    """
    parts = {}
    for role, shape in roles(decoder).items():
        found = re.fullmatch(r"layers\.(\d+)\.(.+)", role)
        if found is None:
            parts[role] = _part({**OUTER, **(outer or {})}, role, shape, "", decoder, None)
            continue
        i = int(found[1])
        own = {**INNER, **(names or {})}
        parts[role] = _part(own, found[2], shape, layer.replace("{i}", str(i)), decoder, i)
    return Stored(decoder, parts, kind, keys.done())


def _part(names: Names, role: str, shape: Shape, prefix: str, decoder: Decoder, i: int | None) -> Part:
    where, rest = names.get(role), ""
    if where is None:
        where, rest = _module(names, role)
    vector = role.endswith("bias") or len(shape) == 1
    if isinstance(where, Slice):
        name = prefix + where.name + (f".{rest}" if rest and not _whole(where.name) else "")
        whole = _unsliced(shape, where, vector)
        part = Part(name, whole, where.rows, where.turned, vector=vector)
    else:
        part = Part(prefix + where + (f".{rest}" if rest else ""), shape)
    feed = None if i is None else decoder.blocks[i].feed
    if "{e}" in part.name and isinstance(feed, Experts):
        part = replace(part, shape=part.shape[1:], each=feed.count)
    return part


def _whole(name: str) -> bool:
    return name.endswith((".weight", ".bias"))


def _module(names: Names, role: str) -> tuple[str | Slice, str]:
    """The module's name, and the tensor's name in it. Raises: KeyError if the family names no such module."""
    module, _, rest = role.rpartition(".")
    while module:
        if module in names:
            return names[module], rest
        module, _, more = module.rpartition(".")
        rest = f"{more}.{rest}"
    return names[role], ""


def _unsliced(shape: Shape, where: Slice, vector: bool) -> Shape:
    """The stored shape of which the rows are taken."""
    sizes = list(shape)
    if where.rows is not None:
        sizes[-1 if vector else -2] = where.total
    if where.turned and not vector:
        sizes[-1], sizes[-2] = sizes[-2], sizes[-1]
    return tuple(sizes)
