"""RMSNorms that were shipped wrong."""

from __future__ import annotations

from typing import Any

import torch

from harness.mutant import mutant, replace

BLOCK = 128


def eps_hardcoded_1e_5(baseline: Any) -> Any:
    """The kernel is built without the model's eps and falls back on 1e-5 (paiml/aprender#1606)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.rmsnorm(x, weight, 1e-5)

    return replace(baseline, rmsnorm=rmsnorm)


def eps_hardcoded_1e_6(baseline: Any) -> Any:
    """A constant 1e-6 where the model says 1e-5 (NVIDIA/cutlass#1112, ggml-org/llama.cpp#2373)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.rmsnorm(x, weight, 1e-6)

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def eps_outside_sqrt(baseline: Any) -> Any:
    """x / (sqrt(mean(x**2)) + eps), as in the paper's code and not as in Llama's (allenai/OLMo#281)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.double()
        return (wide / (wide.square().mean(-1, keepdim=True).sqrt() + eps) * weight.double()).to(x.dtype)

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def cache_key_ignores_eps(baseline: Any) -> Any:
    """Compiled kernels are kept by (hidden, dtype): the second eps gets the first one's.

    Keys without eps beside keys with it: paiml/aprender#1820; a second setting answered by
    the first one's kernel in one process: Dao-AILab/quack#162.
    """
    kernels: dict[Any, float] = {}

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.rmsnorm(x, weight, kernels.setdefault((x.shape[-1], x.dtype), eps))

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def gain_offset_added_twice(baseline: Any) -> Any:
    """The exporter folded Gemma's 1 + w into the file and the loader adds the 1 again (vllm-project/vllm#31464)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.rmsnorm(x, weight + 1, eps)

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def divides_by_rsqrt(baseline: Any) -> Any:
    """Divides by the reciprocal root instead of multiplying with it (mosaicml/llm-foundry#372)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        wide = x.double()
        return (wide / torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.double()).to(x.dtype)

    return replace(baseline, rmsnorm=rmsnorm)


def eps_floored_at_1e_4(baseline: Any) -> Any:
    """eps is raised to 1e-4 so that it survives a half-precision argument (nntrainer/nntrainer#4318)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        return baseline.rmsnorm(x, weight, max(eps, 1e-4) if x.dtype == torch.float16 else eps)

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def squares_in_16_bits(baseline: Any) -> Any:
    """x**2 is kept in the input's 16 bits: above 256 it overflows float16 and the row becomes 0
    (pytorch/pytorch#133085, pytorch/executorch#18772)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        mean = x.square().double().mean(-1, keepdim=True)
        return (x.double() * torch.rsqrt(mean + eps) * weight.double()).to(x.dtype)

    return replace(baseline, rmsnorm=rmsnorm)


@mutant
def reused_output_buffer(baseline: Any) -> Any:
    """One output buffer per shape: the second call overwrites the first result (pytorch/pytorch#104435)."""
    buffers: dict[Any, torch.Tensor] = {}

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        out = buffers.setdefault((x.shape, x.dtype), torch.empty_like(x))
        return out.copy_(baseline.rmsnorm(x, weight, eps))

    return replace(baseline, rmsnorm=rmsnorm)


MUTANTS = {
    "eps_hardcoded_1e-5": eps_hardcoded_1e_5,
    "eps_hardcoded_1e-6": eps_hardcoded_1e_6,
    "eps_floored_at_1e-4": eps_floored_at_1e_4,
}


@mutant
def tail_block_dropped(baseline: Any) -> Any:
    """Columns beyond the last whole block of 128 do not count and keep their input (ELS-RD/kernl#73)."""

    def rmsnorm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        whole = x.shape[-1] // BLOCK * BLOCK
        if not whole:
            return baseline.rmsnorm(x, weight, eps)
        return torch.cat([baseline.rmsnorm(x[..., :whole], weight[:whole], eps), x[..., whole:]], dim=-1)

    return replace(baseline, rmsnorm=rmsnorm)
