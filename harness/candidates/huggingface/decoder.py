"""A transformers causal language model with the methods `logits`, `stages`, `prefill` and `decode`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from harness.candidates.huggingface.float64 import in_float64
from harness.candidates.huggingface.hooks import Staged


@dataclass
class Cache:
    """One request's keys, values and states, and the mask (B, S): 1 for a token, 0 for padding."""

    kept: Any
    """What transformers' model returned; None before the first pass."""
    mask: torch.Tensor


class CannotCache(Exception):
    """transformers' cached pass of this model is not its uncached one; the claim is UNVERIFIED."""

    unsupported = True


class Decoder(Staged):
    """The interface of `harness.candidates.torch.model.decoder.Decoder`; `module` is transformers' model.

    Units:  float64 cases test the logic, so transformers' own casts to float32 are widened in them; logits that a
            model widens itself (Mamba 2, Nemotron H) are rounded to the run's dtype.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.model = model
        self.takes = inspect.signature(model.forward).parameters

    def prefill(self, tokens: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, Cache]:
        """Shapes: tokens (B, T), lengths (B,) of left-padded rows -> logits (B, T, V). Raises: CannotCache."""
        mask = torch.ones_like(tokens)
        if lengths is not None:
            mask = mask.cumsum(1).gt(tokens.shape[1] - lengths[:, None]).long()
        if not mask.all():
            self._check_padding()
        with in_float64(self._wide):
            return self._append(tokens, Cache(None, mask))

    def decode(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        """Shapes: tokens (B, n) -> logits (B, n, V). Raises: CannotCache."""
        if tokens.shape[1] == 1:
            self._check_steps()
        before = self._frequencies()
        longer = Cache(cache.kept, torch.cat([cache.mask, torch.ones_like(tokens)], dim=1))
        with in_float64(self._wide):
            found = self._append(tokens, longer)
        if any(not torch.equal(old, new) for old, new in zip(before, self._frequencies(), strict=True)):
            raise CannotCache(
                f"{type(self.model).__name__} changes its rotary frequencies at {longer.mask.shape[1]} tokens; the "
                "cached keys were rotated by others, which its uncached pass does not use"
            )
        return found

    def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
        with in_float64(self._wide):
            return self._rounded(self.model(input_ids=tokens, use_cache=False).logits)

    @torch.no_grad()
    def _append(self, tokens: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, Cache]:
        # As in transformers' `generate`, a token's position is the number of real tokens before it.
        positions = (cache.mask.cumsum(-1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        kept = next((name for name in ("past_key_values", "cache_params") if name in self.takes), None)
        if kept is None:
            raise CannotCache(f"{type(self.model).__name__}.forward takes neither past_key_values nor cache_params")
        known = {"position_ids": positions, "attention_mask": cache.mask}
        if cache.kept is not None:
            known[kept] = cache.kept
            if kept == "cache_params":
                # Mamba multiplies new tokens by the whole mask; `generate` gives it one with the prompt alone.
                del known["attention_mask"]
        known = {name: value for name, value in known.items() if name in self.takes}
        out = self.model(input_ids=tokens, use_cache=True, **known)
        if getattr(out, kept, None) is None:
            raise CannotCache(f"{type(self.model).__name__} returns no {kept}")
        return self._rounded(out.logits), Cache(getattr(out, kept), cache.mask)

    def _rounded(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.to(self.model.dtype)

    @property
    def _wide(self) -> bool:
        return bool(self.model.dtype == torch.float64)

    def _frequencies(self) -> list[torch.Tensor]:
        """Rotary frequencies of every kind, which dynamic and long RoPE change with the number of tokens."""
        return [value.clone() for name, value in self.model.named_buffers() if name.endswith("inv_freq")]

    def _check_steps(self) -> None:
        """Raises: CannotCache for a state space layer that limits its steps: a single token's step is not limited."""
        for name, module in self.model.named_modules():
            low, high = getattr(module, "time_step_limit", (0.0, float("inf")))
            if low > 0 or high < float("inf"):
                raise CannotCache(
                    f"{type(self.model).__name__}: {name} limits its time steps to [{low:g}, {high:g}], but "
                    "transformers' step of a single token (mamba2_selective_state_update) does not"
                )

    def _check_padding(self) -> None:
        """Raises: CannotCache if padding is not masked, or masked before a bias that a convolution then reads."""
        if "attention_mask" not in self.takes:
            raise CannotCache(f"{type(self.model).__name__}.forward takes no attention_mask, so rows cannot be padded")
        for name, module in self.model.named_modules():
            if hasattr(module, "conv1d") and getattr(getattr(module, "in_proj", None), "bias", None) is not None:
                raise CannotCache(
                    f"{type(self.model).__name__}: {name} masks padding before in_proj, whose bias then enters the "
                    "convolution of a padded row's first tokens"
                )
