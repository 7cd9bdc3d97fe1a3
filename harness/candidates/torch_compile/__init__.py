"""The eager candidate with norm, softmax and attention under torch.compile, alone and in its decoder.

Each kind of input compiles its own kernel, several seconds each on a CPU, so this is a candidate to ask for:
`harness run contracts/ops/rmsnorm.yaml --candidate torch_compile`.
"""

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__, otherwise="harness.candidates.torch")
