"""Correct kernels written otherwise: other orders of the same sums, wider insides, other batches.

None of them may be called wrong by any claim; `false_alarms.py` counts.
"""

from reordered import activations, attention, losses, norms, products, rotations

FAMILIES = (norms, attention, rotations, products, losses, activations)
KERNELS = {op: kernels for family in FAMILIES for op, kernels in family.KERNELS.items()}
