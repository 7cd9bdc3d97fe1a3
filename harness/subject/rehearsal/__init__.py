"""A device written in Python on which any machine rehearses what a GPU would refuse.

Its kernels are the CPU's, so its numbers are the CPU's. Its tensors live apart: an operation that mixes them with CPU
tensors is refused, as CUDA refuses it, and so is an operation for which CUDA has no kernel. Importing this package
loads torch; `start()` registers the device in this process.
"""

from __future__ import annotations

from harness.subject.rehearsal.backend import start

__all__ = ["start"]
