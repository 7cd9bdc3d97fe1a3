"""torch's fused scaled_dot_product_attention, F.rms_norm and F.softmax; other ops are the eager candidate's."""

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__, otherwise="harness.candidates.torch")
