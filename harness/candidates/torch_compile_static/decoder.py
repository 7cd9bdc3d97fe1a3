"""The eager decoder with norms and softmax compiled for each shape; every other step stays eager."""

from __future__ import annotations

from harness.candidates.torch.model import decoder as eager
from harness.candidates.torch_compile_static.ops import rmsnorm, softmax

ARRAYS = "torch"


class Decoder(eager.Decoder):
    """`harness.candidates.torch.model.decoder.Decoder` with compiled norms and softmax."""

    norm = staticmethod(rmsnorm)
    softmax = staticmethod(softmax)


load = Decoder.load
