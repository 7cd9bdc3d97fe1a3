"""transformers' class for any decoder, loaded from a folder as its users do, in float64 throughout on demand."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, DynamicCache

ARRAYS = "torch"
REPORTED = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
"""What transformers only warns about."""


def load(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> AnyDecoder:
    """The decoder of `config` with `weights`, as `model_of` builds it."""
    return AnyDecoder(model_of(config, weights, dtype=dtype, device=device))


class AnyDecoder:
    """A model with `logits`, `prefill` and `decode`; caches are transformers' own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        takes = inspect.signature(type(model).forward).parameters
        self.positioned = "position_ids" in takes
        self.cache = "cache_params" if "cache_params" in takes else "past_key_values"

    @torch.no_grad()
    def logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shapes: tokens (B, T) -> (B, T, V)."""
        return self._rounded(self.model(input_ids=tokens, use_cache=False).logits)

    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Any]:
        """Logits (B, T, V) of a prompt, and its cache. Shapes: lengths (B,), real tokens of a left-padded row."""
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        real = torch.ones_like(tokens) if lengths is None else (slots >= slots.numel() - lengths[:, None]).long()
        return self._step(tokens, DynamicCache(config=self.model.config), real)

    def decode(self, tokens: torch.Tensor, cache: tuple[Any, torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """Logits (B, n, V) of the next n tokens, and the longer cache; the given cache is not changed."""
        kept, real = cache
        return self._step(tokens, copy.deepcopy(kept), torch.cat([real, torch.ones_like(tokens)], dim=1))

    @torch.no_grad()
    def _step(self, tokens: torch.Tensor, kept: Any, real: torch.Tensor) -> tuple[torch.Tensor, Any]:
        more: dict[str, Any] = {self.cache: kept, "attention_mask": real}
        if self.positioned:
            more["position_ids"] = (real.cumsum(1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        out = self.model(input_ids=tokens, use_cache=True, **more)
        return self._rounded(out.logits), (kept, real)

    def _rounded(self, logits: torch.Tensor) -> torch.Tensor:
        """In the run's dtype: some families widen their logits at the end."""
        return logits.to(self.model.dtype)


def logits_in_float64(config: Mapping[str, Any], weights: Mapping[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """Logits of NumPy weights, float64 throughout, on the CPU. Shapes: tokens (B, T) -> (B, T, V)."""
    wide = {name: torch.from_numpy(tensor.astype(np.float64)) for name, tensor in weights.items()}
    model = load(config, wide, dtype="float64", device="cpu")
    return model.logits(torch.from_numpy(tokens.astype(np.int64))).numpy()


def model_of(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], *, dtype: str, device: str) -> Any:
    """The model of `config` with `weights`, which are named as in a checkpoint folder.

    Units:  in float64 every float32 of transformers' own code is float64, frequencies and multipliers included.
    Raises: ValueError naming the tensors if `weights` does not hold exactly the model's tensors.
    Source: transformers' AutoModelForCausalLM, eager attention and experts.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
        with widened(dtype == "float64"):
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=getattr(torch, dtype),
                attn_implementation="eager",
                experts_implementation="eager",
                local_files_only=True,
                output_loading_info=True,
            )
    found = {kind: sorted(map(str, info[kind])) for kind in REPORTED if info.get(kind)}
    if found:
        raise ValueError(f"transformers: {found}, expected the model's own tensors")
    model.to(device).eval()
    return in_float64(model) if dtype == "float64" else model


def in_float64(model: Any) -> Any:
    """The model with every forward pass in float64, in place."""
    forward = model.forward

    def wide(*args: Any, **kwargs: Any) -> Any:
        with widened():
            return forward(*args, **kwargs)

    model.double().forward = wide
    return model


class _Float64(TorchFunctionMode):
    """Replaces torch.float32 by torch.float64 in every torch call, and `.float()` by `.double()`."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is torch.Tensor.float:
            return args[0].double()
        named = {key: _wide(value) for key, value in (kwargs or {}).items()}
        return function(*map(_wide, args), **named)


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


@contextlib.contextmanager
def widened(wide: bool = True) -> Iterator[None]:
    """Inside, float32 is float64, also where torch chooses by default (`torch.tensor(0.5)`, int / int)."""
    if not wide:
        yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Float64():
            yield
    finally:
        torch.set_default_dtype(before)
