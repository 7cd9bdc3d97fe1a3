"""The eager candidate's ops, compiled on their first call.

Beyond its limit of recompilations torch would silently run eagerly; with fullgraph it raises instead.
"""

from __future__ import annotations

import torch

from harness.candidates.torch.ops import attention as ops

ARRAYS = ops.ARRAYS

rmsnorm = torch.compile(ops.rmsnorm, dynamic=True, fullgraph=True)
softmax = torch.compile(ops.softmax, dynamic=True, fullgraph=True)
attention = torch.compile(ops.attention, dynamic=True, fullgraph=True)
