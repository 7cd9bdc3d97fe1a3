"""The stages of any decoder that is a torch module: read, and replaced, by hooks on its submodules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from functools import reduce
from typing import Any

import torch
from torch import nn

from harness.candidates.huggingface.places import Place, shown
from harness.errors import UserError

Stages = Mapping[str, Any]
"""Stage -> a module's name, or (name, side), or (name, side, columns), or a `Place`; with `{i}` for every layer."""
At = Callable[[str, torch.Tensor], torch.Tensor]
"""(stage, value) -> the value that later computation reads."""
_HEADED = ("q_norm", "k_norm", "v_norm")
"""Stages with an axis of heads, if their modules have one."""


class Staged:
    """`logits` and `stages` of a module whose forward gives logits, or something with `.logits`, or a tuple of them.

    Stages are found by transformers' names of modules; `stages` adds those of other names, or puts them right:
    `{"layers.{i}.q_proj": "blocks.{i}.attn.query", "layers.{i}.attn": ("blocks.{i}.attn.out", "in")}`.
    Raises: UserError if `stages` names a module that is not there.
    """

    ARRAYS = "torch"

    def __init__(self, module: nn.Module, stages: Stages | None = None) -> None:
        self.module = module
        self.places = {**shown(module), **_named(module, stages or {})}

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shapes: tokens (B, T) -> (B, T, V)."""
        return self._forward(tokens)

    @torch.no_grad()
    def stages(
        self, tokens: torch.Tensor, replace: Mapping[str, torch.Tensor] | None = None
    ) -> dict[str, torch.Tensor]:
        """Every stage that a module shows, as it is computed; later computation reads the value in `replace` instead.

        A router's logits are only read: its weights, a stage of their own, are computed inside the same module. Two
        things are left out: a norm of heads if there are as many heads as tokens, for then it does not show which axis
        is which; and a stage for which no module is called.
        Shapes: tokens (B, T) -> by stage name (B, T, ...), as in harness.reference.model.decoder.stage_names.
        Raises: ValueError if a replacement has another shape than its stage.
        """
        seen: dict[str, torch.Tensor] = {}

        def stage(name: str, value: torch.Tensor) -> torch.Tensor:
            seen[name] = value.clone()
            if replace is None or name not in replace:
                return value
            if replace[name].shape != value.shape:
                found, expected = tuple(replace[name].shape), tuple(value.shape)
                raise ValueError(f"replace: {name} has shape {found}, expected {expected}")
            return replace[name].to(value)

        with ExitStack() as held:
            for name, place in self.places.items():
                held.callback(_listen(self.module, name, place, tuple(tokens.shape), stage).remove)
            seen["logits"] = self._forward(tokens)
        return seen

    def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
        out = self.module(tokens)
        out = out.logits if hasattr(out, "logits") else out
        found: torch.Tensor = out[0] if isinstance(out, tuple) else out
        return found


def _named(model: nn.Module, stages: Stages) -> dict[str, Place]:
    """A user's map with `{i}` written out for every layer."""
    modules = dict(model.named_modules())
    layers = range(max((len(m) for m in modules.values() if isinstance(m, nn.ModuleList | nn.Sequential)), default=0))
    found: dict[str, Place] = {}
    for stage, given in stages.items():
        place = given if isinstance(given, Place) else Place(*((given,) if isinstance(given, str) else given))
        each = {stage.replace("{i}", str(i)): place.module.replace("{i}", str(i)) for i in layers or [0]}
        held = {name: where for name, where in each.items() if where in modules}
        if not held:
            near = get_close_matches(place.module.replace("{i}", "0"), modules, 1, 0)
            raise UserError(
                f"stages: {stage} is said to be at {place.module}, which {type(model).__name__} does not have; "
                f"the nearest name is {near[0] or 'none'}"
            )
        found |= {name: Place(where, place.side, place.columns, place.factor) for name, where in held.items()}
    return found


def _listen(model: nn.Module, name: str, place: Place, shape: tuple[int, int], stage: At) -> Any:
    """Hook one stage; the handle's `remove` ends it. Shapes: shape is that of the tokens, (B, T)."""
    module = model.get_submodule(place.module)
    factor = float(reduce(getattr, place.factor.split("."), model)) if place.factor else 1.0

    def read(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        value = given[0] if given else named["hidden_states"]
        new = _staged(name, place.columns, factor, value, shape, stage)
        if new is not value:
            # In place, because the residual branch reads the same tensor and needs the replacement too.
            value.copy_(new)

    def gave(_: Any, given: Any, out: Any) -> Any:
        if place.side == "routed":
            return _routed(name, out, shape, stage)
        if isinstance(out, tuple):
            return (_staged(name, place.columns, factor, out[0], shape, stage), *out[1:])
        return _staged(name, place.columns, factor, out, shape, stage)

    if place.side == "in":
        return module.register_forward_pre_hook(read, with_kwargs=True)
    return module.register_forward_hook(gave)


def _staged(name: str, columns: Any, factor: float, value: torch.Tensor, shape: tuple[int, int], at: At) -> Any:
    """The tensor with the stage's part replaced; the tensor itself if nothing is, or if it does not show the stage."""
    found = _by_position(value, shape, heads=name.endswith(_HEADED))
    if found is None:
        return value
    view, back = found
    own = (view if columns is None else view[..., columns]) * factor
    new = at(name, own)
    if new is own:
        return value
    whole = view.clone()
    whole[..., slice(None) if columns is None else columns] = new / factor
    return back(whole)


def _by_position(value: torch.Tensor, shape: tuple[int, int], *, heads: bool) -> tuple[torch.Tensor, Any] | None:
    """The value as (B, T, ...), and the function that turns it back; None if it does not show which axis is T."""
    batch, length = shape
    if heads and value.ndim == 4:
        if value.shape[1] == value.shape[2]:
            return None
        turned = value.shape[:3:2] == shape
        return (value.transpose(1, 2), lambda new: new.transpose(1, 2)) if turned else (value, lambda new: new)
    if shape in (value.shape[:2], value.shape[:3:2]) or value.shape[0] == batch * length:
        return value.reshape(batch, length, -1), lambda new: new.reshape(value.shape)
    return None


def _routed(name: str, out: Any, shape: tuple[int, int], at: At) -> Any:
    """A router's (logits, weights of the chosen, their numbers): the stage is the weights, spread over all experts."""
    if not (isinstance(out, tuple) and len(out) == 3):
        return out
    logits, weights, chosen = out
    spread = torch.zeros(logits.shape, dtype=weights.dtype, device=weights.device).scatter(-1, chosen, weights)
    own = spread.reshape(*shape, -1)
    new = at(name, own)
    if new is own:
        return out
    best = new.reshape(logits.shape).topk(chosen.shape[-1], dim=-1)
    return logits, best.values.to(weights), best.indices
