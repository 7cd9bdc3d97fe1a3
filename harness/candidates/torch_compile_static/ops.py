"""The eager candidate's rmsnorm and softmax, compiled for each shape on its first call."""

from __future__ import annotations

from harness.candidates.torch_compile._compiled import kernels

ARRAYS = "torch"
STATIC = kernels(dynamic=False)

rmsnorm = STATIC.rmsnorm
softmax = STATIC.softmax
