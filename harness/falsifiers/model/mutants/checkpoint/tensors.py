"""Checkpoints loaded wrongly, whatever their family: the baseline with other tensors."""

from __future__ import annotations

import re
from typing import Any

from harness.mutant import Inapplicable, mutant, replace


def _loading(baseline: Any, edit: Any) -> Any:
    def load(config: Any, weights: Any, *, dtype: str, device: str) -> Any:
        return baseline.load(config, edit(dict(weights)), dtype=dtype, device=device)

    return replace(baseline, load=load)


@mutant
def two_layers_exchanged(baseline: Any) -> Any:
    """A matrix of layer 0 and its like of layer 1 are exchanged. Synthetic: names are sorted, and shards overlap."""

    def edit(weights: dict[str, Any]) -> dict[str, Any]:
        for name in weights:
            other = re.sub(r"\.0\.", ".1.", name, count=1)
            like = weights.get(other)
            if other != name and like is not None and like.ndim == 2 and like.shape == weights[name].shape:
                return {**weights, name: like, other: weights[name]}
        raise Inapplicable("no matrix of layer 0 has its like in layer 1")

    return _loading(baseline, edit)


@mutant
def embedding_one_row_off(baseline: Any) -> Any:
    """Ids read the row of the id before. Synthetic: a vocabulary with one special token more in front."""

    def edit(weights: dict[str, Any]) -> dict[str, Any]:
        name = next(name for name in weights if "embed" in name or "wte" in name)
        return {**weights, name: weights[name].roll(1, 0)}

    return _loading(baseline, edit)


@mutant
def gains_left_at_one(baseline: Any) -> Any:
    """Gains of norms stay at their initial value. Synthetic: loaders skip names that they do not know."""

    def edit(weights: dict[str, Any]) -> dict[str, Any]:
        gains = [name for name in weights if "norm" in name and name.endswith("weight") and weights[name].ndim == 1]
        if not gains:
            raise Inapplicable("no norm has a gain")
        return {**weights, **{name: weights[name] * 0 + 1 for name in gains}}

    return _loading(baseline, edit)
