"""The eager decoder's `logits` and `decode`, each captured once per shape in a torch.cuda.CUDAGraph and replayed.

Only on CUDA: elsewhere `load` says what it needs, and the claims are UNVERIFIED. Other functions are not offered.
"""

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__)
