"""The implementation under test. Replace it with yours; NumPy arrays in, NumPy arrays out.

With `ARRAYS = "torch"` at module level you get torch tensors on the run's device instead.
"""

import numpy as np


def softmax(x):
    wide = x.astype(np.float32)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)
