"""The torch settings under which claims run."""

from __future__ import annotations

import os
import sys

from harness.judging.result import TorchSettings

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def settle(threads: int) -> None:
    """Fix torch's threads, switch TF32 and sums in 16 bits off, and ask for deterministic kernels.

    Deterministic kernels include memory that torch hands out uninitialised: torch fills it with NaN.

    An operation that has no deterministic kernel still runs; torch's warning goes to the claim's log. Call this before
    the process uses CUDA: cuBLAS reads its workspace setting when it starts.
    """
    if "torch" not in sys.modules:
        return
    import torch

    os.environ.setdefault(WORKSPACE, ":4096:8")  # without it cuBLAS may vary the order of sums
    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # Otherwise cuBLAS may round the parts of a split sum to 16 bits before it adds them.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # use_deterministic_algorithms(True, warn_only=True) does the same and imports torch's compiler, 3 s in each claim.
    torch.set_deterministic_debug_mode("warn")


def current() -> TorchSettings | None:
    """This process's settings now; None if it has not imported torch.

    A candidate may have changed what `settle` set, so a claim's evidence holds what its own process says at its end.
    """
    if "torch" not in sys.modules:
        return None
    import torch

    backends = torch.backends
    # allow_tf32 raises once code has used the newer fp32_precision, which reads what either of them set.
    return {
        "threads": torch.get_num_threads(),
        "deterministic": ("default", "warn", "error")[torch.get_deterministic_debug_mode()],
        "cublas_workspace": os.environ.get(WORKSPACE),
        "cublas_fp32": backends.cuda.matmul.fp32_precision,
        "cublas_fp16_reduced": bool(backends.cuda.matmul.allow_fp16_reduced_precision_reduction),
        "cublas_bf16_reduced": bool(backends.cuda.matmul.allow_bf16_reduced_precision_reduction),
        "cudnn_fp32": backends.cudnn.conv.fp32_precision,
        "cudnn_deterministic": backends.cudnn.deterministic,
        "cudnn_benchmark": backends.cudnn.benchmark,
        "mkldnn_fp32": backends.mkldnn.matmul.fp32_precision,
    }
