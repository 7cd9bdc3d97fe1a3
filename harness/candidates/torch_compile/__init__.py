"""The eager candidate with rmsnorm, softmax and attention under torch.compile(dynamic=True), as ops and in its decoder.

torch compiles a kernel for each kind of input, which takes up to 15 seconds on a CPU. Select the candidate by name:
`harness run contracts/ops/rmsnorm.yaml --candidate torch_compile`.
"""

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__, otherwise="harness.candidates.torch")
