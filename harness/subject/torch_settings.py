"""How torch computes while claims run."""

from __future__ import annotations

import sys


def settle(threads: int) -> None:
    """Threads fixed, TF32 off, kernels deterministic where torch offers it: same seed, same bytes."""
    if "torch" not in sys.modules:
        return
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
