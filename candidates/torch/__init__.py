"""The default candidate: eager torch on the run's device."""

from candidates.torch.ops import ARRAYS, attention, rmsnorm, softmax

__all__ = ["ARRAYS", "attention", "rmsnorm", "softmax"]
