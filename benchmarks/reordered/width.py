"""How a correct kernel is widened, narrowed and split: what the families share."""

import numpy as np


def wide(x):
    return x.astype(np.float64 if x.dtype == np.float64 else np.float32)


def in_float64(op):
    """The same op with everything inside in float64."""

    def widened(x, *args, **options):
        out = op(*(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in (x, *args)), **options)
        return out.astype(x.dtype)

    return widened


def one_by_one(op):
    """Each row of the batch alone: what a batch of one computes."""

    def alone(*args, **options):
        def row(i, value):
            return value[i : i + 1] if isinstance(value, np.ndarray) else value

        calls = ((i, {name: row(i, value) for name, value in options.items()}) for i in range(args[0].shape[0]))
        return np.concatenate([op(*(row(i, a) for a in args), **kept) for i, kept in calls])

    return alone


def narrowed(product):
    return lambda a, b: product(a, b).astype(a.dtype)


def chain(products, axis):
    return np.take(np.add.accumulate(products, axis=axis), -1, axis=axis)
