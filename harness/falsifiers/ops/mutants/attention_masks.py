"""Attention masks that were shipped wrong: windows, padding, packed documents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import Inapplicable, mutant, replace


@mutant
def window_one_more(baseline: Any) -> Any:
    """Inclusive bounds: W + 1 keys are seen (A6: NVIDIA-NeMo/Megatron-Bridge#2656, ml-explore/mlx-lm#390)."""
    return _window(baseline, 1)


@mutant
def window_one_less(baseline: Any) -> Any:
    """W - 1 keys are seen, the query's own not counted (A6, the other way: ml-explore/mlx-lm#390)."""
    return _window(baseline, -1)


@mutant
def window_dropped(baseline: Any) -> Any:
    """The window never reaches the kernel (A7: unslothai/unsloth#8253, transformers#32522)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, window: int | None = None, **options: Any) -> Tensor:
        _check(window, k)
        return baseline.attention(q, k, v, **options)

    return replace(baseline, attention=attention)


@mutant
def window_ignores_offset(baseline: Any) -> Any:
    """The window is cut as if the queries stood at 0: over a cache it hides nothing
    (A7: huggingface/transformers#32522)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, window: int | None, offset: int = 0, **options: Any) -> Tensor:
        if not offset:
            raise Inapplicable("the queries stand at 0")
        assert window is not None
        return baseline.attention(q, k, v, offset=offset, window=window + offset, **options)

    return replace(baseline, attention=attention)


@mutant
def padding_dropped(baseline: Any) -> Any:
    """The padding mask is not passed on (A9: unslothai/unsloth#4078)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **options)

    return replace(baseline, attention=attention)


@mutant
def padding_shared_by_batch(baseline: Any) -> Any:
    """One row's padding stands for the whole batch (A9: unslothai/unsloth#4078, ndif-team/nnsight#673)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, padding=padding.amax().expand_as(padding), **options)

    return replace(baseline, attention=attention)


@mutant
def padding_one_more(baseline: Any) -> Any:
    """The first real token is taken for padding: pad id equals bos, counted as one more.
    Synthetic: padding is found by its id, and tokenizers without one borrow another token's."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, padding=padding + (padding > 0), **options)

    return replace(baseline, attention=attention)


@mutant
def padded_query_is_mean_of_values(baseline: Any) -> Any:
    """A large negative number for -inf: a row without keys gives the mean of all values (A10: tracel-ai/burn#4697)."""

    def attention(
        q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor, causal: bool = True, offset: int = 0, **options: Any
    ) -> Tensor:
        if not causal:
            raise Inapplicable("without a causal mask every query sees a key")
        out = baseline.attention(q, k, v, padding=padding, offset=offset, **options)
        mean = v.mean(dim=2, keepdim=True).repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        empty = torch.arange(q.shape[2], device=q.device) + offset < padding[:, None]
        return torch.where(empty[:, None, :, None], mean, out)

    return replace(baseline, attention=attention)


@mutant
def documents_cross(baseline: Any) -> Any:
    """Positions are reset, the mask still crosses documents (A11: huggingface/nanoVLM#204)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, segments: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, **options)

    return replace(baseline, attention=attention)


@mutant
def documents_of_first_row(baseline: Any) -> Any:
    """The first row's boundaries stand for the whole batch, as with one shared list of lengths.
    Synthetic: packed kernels take one list of lengths, and a test with one row needs no more."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, segments: Tensor, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, segments=segments[:1].expand_as(segments), **options)

    return replace(baseline, attention=attention)


@mutant
def boundary_one_late(baseline: Any) -> Any:
    """Cumulative lengths off by one: each document's first token belongs to the one before.
    Synthetic: cumulative lengths are compared with > where >= is meant."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, segments: Tensor, **options: Any) -> Tensor:
        late = torch.cat((segments[:, :1], segments[:, :-1]), dim=1)
        return baseline.attention(q, k, v, segments=late, **options)

    return replace(baseline, attention=attention)


def _window(baseline: Any, change: int) -> Any:
    def attention(q: Tensor, k: Tensor, v: Tensor, *, window: int | None = None, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, window=_check(window, k) + change, **options)

    return replace(baseline, attention=attention)


def _check(window: int | None, k: Tensor) -> int:
    if window is None or window >= k.shape[2]:
        raise Inapplicable(f"{k.shape[2]} keys are no more than the window {window}")
    return window


@mutant
def batch_left_sorted(baseline: Any) -> Any:
    """The batch is sorted by length for speed, and the answers stay in that order.

    Synthetic: the sort is undone for the tokens and forgotten for the rows.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor | None = None, **options: Any) -> Tensor:
        out = baseline.attention(q, k, v, padding=padding, **options)
        return out if padding is None else out[torch.argsort(padding, stable=True)]

    return replace(baseline, attention=attention)


@mutant
def offset_in_int16(baseline: Any) -> Any:
    """The number of cached keys is kept in 16 bits and is negative past 32,767.

    Synthetic: positions of a prompt fit, and those of a long chat do not.
    """

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0, **options: Any) -> Tensor:
        return baseline.attention(q, k, v, offset=(offset + 2**15) % 2**16 - 2**15, **options)

    return replace(baseline, attention=attention)
