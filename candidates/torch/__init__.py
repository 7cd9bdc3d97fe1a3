"""The default candidate: eager torch on the run's device."""

from candidates.torch.activations import elu, gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu, swiglu, tanh
from candidates.torch.decoder import load
from candidates.torch.evaluate import evaluate
from candidates.torch.linear import embedding, linear, matmul
from candidates.torch.losses import cross_entropy
from candidates.torch.nf4 import load_nf4
from candidates.torch.norms import l2norm, layernorm
from candidates.torch.ops import ARRAYS, attention, rmsnorm, softmax
from candidates.torch.rope import rope
from candidates.torch.sampling import argmax, top_k
from candidates.torch.trace import trace

__all__ = [
    "ARRAYS",
    "argmax",
    "attention",
    "cross_entropy",
    "elu",
    "embedding",
    "evaluate",
    "gelu",
    "gelu_tanh",
    "l2norm",
    "layernorm",
    "leaky_relu",
    "linear",
    "load",
    "load_nf4",
    "matmul",
    "relu",
    "rmsnorm",
    "rope",
    "sigmoid",
    "silu",
    "softmax",
    "swiglu",
    "tanh",
    "top_k",
    "trace",
]
