"""The torch settings under which claims run."""

from __future__ import annotations

import os
import sys


def settle(threads: int) -> None:
    """Fix torch's threads, switch TF32 and sums in 16 bits off, and ask for deterministic kernels.

    Deterministic kernels include memory that torch hands out uninitialised: torch fills it with NaN.

    An operation that has no deterministic kernel still runs; torch's warning goes to the claim's log. Call this before
    the process uses CUDA: cuBLAS reads its workspace setting when it starts.
    """
    if "torch" not in sys.modules:
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may vary the order of sums
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
