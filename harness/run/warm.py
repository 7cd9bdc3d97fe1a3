"""The forkserver imports this module and its slow libraries, so that a claim's process starts in milliseconds."""

import contextlib
import warnings

import hypothesis
import numpy

from harness.subject.isolation.kernel import adopt_orphans

with contextlib.suppress(ImportError):
    # Loading torch starts no thread and touches no device; both would break a fork.
    import torch

__all__ = ["hypothesis", "numpy", "torch"]

# What a killed worker leaves behind becomes a child of the forkserver, where `harness.run.family` ends it.
adopt_orphans()
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
