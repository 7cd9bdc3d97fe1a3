"""What the rehearsal device refuses, and what it merely counts, as CUDA does.

Source: the messages that torch itself raises on CUDA; torch's native_functions.yaml for the missing kernels.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from typing import Any

import torch

NAME = "rehearsal"
FALLBACK = "HARNESS_REHEARSAL_FALLBACK"
"""If this environment variable is 1, a missing kernel runs on the host with a warning, as MPS does on request."""
HOST_ONLY = frozenset(
    (
        *("_add_relu.Scalar", "_add_relu.Tensor", "_add_relu.out", "_add_relu_.Scalar", "_add_relu_.Tensor"),
        *("_convert_weight_to_int4pack_for_cpu", "_weight_int4pack_mm_for_cpu"),
        *("_dyn_quant_matmul_4bit", "_dyn_quant_pack_4bit_weight"),
        *("_empty_affine_quantized", "_empty_per_channel_affine_quantized", "quantize_per_tensor.tensors"),
        *("_histogramdd_bin_edges", "_histogramdd_from_bin_cts", "_histogramdd_from_bin_tensors"),
        *("histogram.bin_ct", "histogram.bin_ct_out", "histogram.bins_tensor", "histogram.bins_tensor_out"),
        *("_spdiags", "from_file", "narrow_copy.out", "to_mkldnn"),
        *("mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"),
        *("slow_conv3d_forward", "slow_conv3d_forward.output"),
        *("_upsample_lanczos2d_aa.out", "_upsample_lanczos2d_aa_backward.grad_input"),
    )
)
"""Operations with a CPU kernel and no CUDA kernel; a test compares the list with torch's own."""
NOT_FOR_INTEGERS = frozenset(("mm", "bmm", "addmm", "baddbmm", "addmv", "mv", "dot"))
"""Products that CUDA computes for floating-point types only."""
MIXING = frozenset(("_to_copy", "copy_", "_copy_from", "index", "index_put", "index_put_", "_index_put_impl_"))
"""Transfers; and indexing, for which torch itself moves CPU indices to the device."""

fallbacks: dict[str, int] = {}
"""Operation -> how often it ran on the host because the device has no kernel for it."""


def check(func: Any, ours: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> None:
    """Refuse an operation that CUDA would refuse.

    Raises: RuntimeError for mixed devices; NotImplementedError for a missing kernel.
    """
    kind = func.overloadpacket.__name__
    host = [x for x in others if x.dim()] if others else ()
    if host and kind not in MIXING:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and "
            f"{host[0].device}! (in {func.name()}; the host tensor has shape {tuple(host[0].shape)})"
        )
    if kind in NOT_FOR_INTEGERS and any(not (x.is_floating_point() or x.is_complex()) for x in ours):
        raise NotImplementedError(f'"{kind}" not implemented for integers on {NAME}, as on CUDA')
    if _host_only(func):
        _missing(func.name().removeprefix("aten::"))


@functools.cache
def _host_only(func: Any) -> bool:
    return func.name().removeprefix("aten::") in HOST_ONLY


def _missing(name: str) -> None:
    if os.environ.get(FALLBACK) != "1":
        raise NotImplementedError(
            f"Could not run 'aten::{name}' on {NAME}: CUDA has no kernel for it. {FALLBACK}=1 runs it on the host"
        )
    fallbacks[name] = fallbacks.get(name, 0) + 1
    warnings.warn(f"aten::{name} has no kernel on {NAME} and ran on the host", stacklevel=2)
