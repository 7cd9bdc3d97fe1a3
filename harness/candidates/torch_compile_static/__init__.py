"""The eager candidate with rmsnorm and softmax under torch.compile, a kernel for each shape, as ops and in its decoder.

This is torch.compile with dynamic=False. A kernel takes seconds to compile; select one claim at a time:
`harness run contracts/ops/softmax.yaml -k SOFTMAX-001 --candidate torch_compile_static`. Attention stays eager: the 39
shapes of FALSIFY-ATTENTION-001 would take 8 minutes to compile, and the claim has 5.
"""

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__, otherwise="harness.candidates.torch")
