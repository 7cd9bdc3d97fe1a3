"""The default candidate: eager torch on the run's device."""

from candidates.torch.decoder import load
from candidates.torch.ops import ARRAYS, attention, rmsnorm, softmax

__all__ = ["ARRAYS", "attention", "load", "rmsnorm", "softmax"]
