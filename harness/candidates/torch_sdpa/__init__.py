"""torch's fused scaled_dot_product_attention, F.rms_norm and F.softmax; other ops are the eager candidate's."""

from harness.candidates.torch import *  # noqa: F403
from harness.candidates.torch_sdpa.decoder import load
from harness.candidates.torch_sdpa.ops import ARRAYS, attention, rmsnorm, softmax

__all__ = ["ARRAYS", "attention", "load", "rmsnorm", "softmax"]
