"""The eager candidate with rmsnorm, softmax and attention under torch.compile, as ops and in its decoder.

torch compiles a kernel for each kind of input, which takes several seconds on a CPU. Select the candidate by name:
`harness run contracts/ops/rmsnorm.yaml --candidate torch_compile`.
"""

from harness.candidates.torch import *  # noqa: F403
from harness.candidates.torch_compile.decoder import load
from harness.candidates.torch_compile.ops import ARRAYS, attention, rmsnorm, softmax

__all__ = ["ARRAYS", "attention", "load", "rmsnorm", "softmax"]
