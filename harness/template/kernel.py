"""Your implementation, the candidate. Names and arguments are those that the falsifier uses; arrays are NumPy's.

With `ARRAYS = "torch"` at the top of this file, its functions get torch tensors on the run's device instead.
"""

import numpy as np


def rmsnorm(x, weight, eps):
    """Divide each row of x (rows, hidden) by its root mean square, then scale by weight (hidden,)."""
    wide = x.astype(np.float32)
    rms = np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + 1e-5)
    return (wide / rms * weight.astype(np.float32)).astype(x.dtype)
