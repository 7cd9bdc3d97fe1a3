"""The forkserver imports this module and its slow libraries, so that a claim's process starts in milliseconds."""

import contextlib

import hypothesis
import numpy

with contextlib.suppress(ImportError):
    # Loading torch starts no thread and touches no device; both would break a fork.
    import torch

__all__ = ["hypothesis", "numpy", "torch"]
