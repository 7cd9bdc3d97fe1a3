"""The eager candidate's ops, compiled on their first call for sizes that may change."""

from __future__ import annotations

from harness.candidates.torch_compile._compiled import kernels

ARRAYS = "torch"
DYNAMIC = kernels(dynamic=True)

rmsnorm = DYNAMIC.rmsnorm
softmax = DYNAMIC.softmax
attention = DYNAMIC.attention
