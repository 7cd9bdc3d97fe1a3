"""Wrong versions of what the shipped claims test, each with a right twin. `power.py` counts which are caught.

Written apart from the mutants, which the claims were made with, so that they say what a claim catches that it was
not told of. A rare version is right but for one trigger.
"""

from wrong import (
    activations,
    attention,
    attention_masks,
    losses,
    norms,
    products,
    quantization,
    rmsnorm,
    rope,
    rope_scalings,
    sampling,
    softmax,
)
from wrong.models import adapters, caches, decoders, delta_net, exports
from wrong.training import attention_backward, backward, clipping, elementwise, optimizers, schedules

OPS = (
    rmsnorm,
    norms,
    softmax,
    attention,
    attention_masks,
    rope,
    rope_scalings,
    products,
    activations,
    losses,
    sampling,
    quantization,
)
TRAINING = (backward, elementwise, attention_backward, optimizers, clipping, schedules)
MODELS = (delta_net, adapters, decoders, caches, exports)
FAMILIES = (*OPS, *TRAINING, *MODELS)
VERSIONS = tuple(version for family in FAMILIES for version in family.VERSIONS)
