"""Wrong versions of what the shipped claims test, each with a right twin. `power.py` counts which are caught.

Written apart from the mutants, which the claims were made with, so that they say what a claim catches that it was
not told of. A rare version is right but for one trigger.
"""

from wrong import (
    activations,
    adapters,
    attention,
    attention_backward,
    attention_masks,
    backward,
    decoders,
    delta_net,
    exports,
    losses,
    norms,
    optimizers,
    products,
    quantization,
    rmsnorm,
    rope,
    sampling,
    softmax,
)

FAMILIES = (
    rmsnorm,
    norms,
    softmax,
    attention,
    attention_masks,
    attention_backward,
    rope,
    products,
    activations,
    losses,
    sampling,
    backward,
    quantization,
    delta_net,
    optimizers,
    adapters,
    decoders,
    exports,
)
VERSIONS = tuple(version for family in FAMILIES for version in family.VERSIONS)
