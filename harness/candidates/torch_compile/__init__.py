"""The eager candidate with norm, softmax and attention under torch.compile, alone and in its decoder.

Each kind of input compiles its own kernel, several seconds each on a CPU, so this is a candidate to ask for:
`harness run contracts/ops/rmsnorm.yaml --candidate torch_compile`.
"""

from harness.candidates.torch import *  # noqa: F403
from harness.candidates.torch_compile.decoder import load
from harness.candidates.torch_compile.ops import ARRAYS, attention, rmsnorm, softmax

__all__ = ["ARRAYS", "attention", "load", "rmsnorm", "softmax"]
