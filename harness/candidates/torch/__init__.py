"""The default candidate: eager torch on the run's device.

It offers the public functions of the modules below, found by name when a claim asks for them
(`harness.candidates.offered`). What modules share and no claim may ask for stands in modules with an underscore.
"""

import torch  # noqa: F401  (without torch the candidate is missing as a whole, not function by function)

from harness.candidates.offered import offered

ARRAYS = "torch"
__getattr__, __dir__ = offered(__name__)
