"""The eager decoder with compiled norms and softmax; Inductor cannot compile its complex RoPE, which stays eager."""

from __future__ import annotations

from harness.candidates.torch.model import decoder as eager
from harness.candidates.torch_compile.ops import rmsnorm, softmax

ARRAYS = "torch"


class Decoder(eager.Decoder):
    """`harness.candidates.torch.model.decoder.Decoder` with compiled norms and softmax."""

    norm = staticmethod(rmsnorm)
    softmax = staticmethod(softmax)


load = Decoder.load
