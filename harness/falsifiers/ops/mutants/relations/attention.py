"""Attention that is right for the usual heads, widths and masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

VECTOR = 16
HIDDEN = -30.0
GROUP = 4


@mutant
def width_cut_to_vectors(baseline: Any) -> Any:
    """Scores add only whole vectors of 16 dimensions. Synthetic: heads of 64 and 128 are whole vectors, of 40 not."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, **options: Any) -> Tensor:
        whole = q.shape[-1] // VECTOR * VECTOR or q.shape[-1]
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        return baseline.attention(q[..., :whole], k[..., :whole], v, scale=scale, **options)

    return replace(baseline, attention=attention)


@mutant
def group_beyond_4_shares(baseline: Any) -> Any:
    """Query heads beyond the fourth of a group read the next group's keys. Synthetic: groups above 4 are rare, and a
    head index kept in 2 bits is right up to there."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
        head, heads = torch.arange(q.shape[1], device=q.device), k.shape[1]
        group = q.shape[1] // heads
        own = (head // group + (head % group >= GROUP)) % heads
        return baseline.attention(q, k[:, own], v[:, own], **options)

    return replace(baseline, attention=attention)


@mutant
def hidden_keys_score_minus_30(baseline: Any) -> Any:
    """Hidden keys score 30 less instead of being left out. Synthetic: exp(-30) is nothing beside ordinary keys, and
    all beside them where a hidden key is large."""

    def attention(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        causal: bool = True,
        scale: float | None = None,
        offset: int = 0,
        padding: Tensor | None = None,
    ) -> Tensor:
        group = q.shape[1] // k.shape[1]
        wide = k.repeat_interleave(group, dim=1).double(), v.repeat_interleave(group, dim=1).double()
        scores = q.double() @ wide[0].mT * (q.shape[-1] ** -0.5 if scale is None else scale)
        keys = torch.arange(k.shape[2], device=q.device)
        at = torch.arange(q.shape[2], device=q.device)[:, None] + offset
        seen = ((keys <= at) if causal else torch.ones_like(keys <= at))[None]
        if padding is not None:
            seen = seen & (keys >= padding[:, None])[:, None]
        weights = (scores + torch.where(seen, 0.0, HIDDEN)[:, None]).softmax(-1)
        return (weights * seen.any(-1)[:, None, :, None] @ wide[1]).to(q.dtype)

    return replace(baseline, attention=attention)


@mutant
def first_query_of_a_call_sees_itself_only(baseline: Any) -> Any:
    """The first query of every call sees no cached key. Synthetic: without a cache the first query has none, so that a
    prompt in one call is right."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, offset: int = 0, **options: Any) -> Tensor:
        out = baseline.attention(q, k, v, offset=offset, **options)
        first = v[:, :, offset].repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        return torch.cat([first[:, :, None], out[:, :, 1:]], dim=2) if offset else out

    return replace(baseline, attention=attention)


@mutant
def padding_of_the_last_row(baseline: Any) -> Any:
    """The last row's padding stands for the whole batch (A9: unslothai/unsloth#4078, ndif-team/nnsight#673)."""

    def attention(q: Tensor, k: Tensor, v: Tensor, *, padding: Tensor | None = None, **options: Any) -> Tensor:
        shared = None if padding is None else padding[-1:].expand(len(padding))
        return baseline.attention(q, k, v, padding=shared, **options)

    return replace(baseline, attention=attention)
