"""The gated delta rule in torch: in chunks, or directly if there is only one step."""

from __future__ import annotations

import torch

CHUNK = 64


def delta_rule(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, g: torch.Tensor, beta: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """S = exp(g) S + k (beta (v - exp(g) S^T k))^T, out = S^T q.

    Shapes: q, k (B, H, T, Dk), v (B, H, T, Dv), g and beta (B, H, T), state (B, H, Dk, Dv) -> out (B, H, T, Dv), state.
    Source: arXiv:2412.06464.
    """
    if q.shape[2] == 1:
        state = g.exp()[..., None] * state
        error = v - k @ state
        state = state + k.transpose(-1, -2) * beta[..., None] @ error
        return q @ state, state
    outs = []
    for begin in range(0, q.shape[2], CHUNK):
        steps = slice(begin, begin + CHUNK)
        out, state = _chunk(q[:, :, steps], k[:, :, steps], v[:, :, steps], g[:, :, steps], beta[:, :, steps], state)
        outs.append(out)
    return torch.cat(outs, dim=2), state


def _chunk(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, g: torch.Tensor, beta: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute up to CHUNK steps at once; a triangular system gives the value that each step writes at its key."""
    since = g.cumsum(dim=-1)
    later = torch.ones(g.shape[-1], g.shape[-1], dtype=torch.bool, device=g.device).triu(1)
    decay = (since[..., :, None] - since[..., None, :]).masked_fill(later, float("-inf")).exp()
    past = since.exp()[..., None]
    system = (k @ k.transpose(-1, -2)) * decay * beta[..., None]
    want = beta[..., None] * (v - past * (k @ state))
    # solve_triangular reads only entries below the diagonal and takes the diagonal as 1.
    written = torch.linalg.solve_triangular(system, want, upper=False, unitriangular=True)
    out = past * (q @ state) + ((q @ k.transpose(-1, -2)) * decay) @ written
    rest = (since[..., -1:] - since).exp()[..., None]
    return out, past[..., -1:, :] * state + (rest * k).transpose(-1, -2) @ written
