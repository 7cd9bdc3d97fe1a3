"""The calls that the harness makes to an external program: each op's arguments, and which have gradients."""

from __future__ import annotations

OPS = {
    "rmsnorm": "x* weight* eps",
    "layernorm": "x* weight* bias* eps",
    "l2norm": "x* eps",
    "softmax": "x* axis",
    "attention": "q* k* v* causal scale offset window padding segments",
    "rope": "x* positions theta interleaved rotary_dim scaling",
    "swiglu": "gate* up*",
    "silu": "x*",
    "gelu": "x*",
    "gelu_tanh": "x*",
    "relu": "x*",
    "leaky_relu": "x* slope",
    "elu": "x* alpha",
    "sigmoid": "x*",
    "tanh": "x*",
    "linear": "x* weight* bias*",
    "matmul": "a* b*",
    "embedding": "tokens weight*",
    "cross_entropy": "logits* targets ignore_index",
    "weighted_bce": "logits* labels weights",
    "top_k": "logits k",
    "argmax": "logits vocab_size",
}
"""Op -> its arguments in order; * marks those with a gradient. Names and defaults are the reference's."""
BACKWARD = "_backward"


def arguments(call: str) -> list[str] | None:
    """The arguments of a call in order; None for a call outside the protocol.

    `<op>_backward` takes `dout` before the op's own arguments; it exists only for ops with a gradient.
    """
    op = call.removesuffix(BACKWARD)
    if op not in OPS or (op != call and not gradients(op)):
        return None
    names = OPS[op].replace("*", "").split()
    return names if op == call else ["dout", *names]


def gradients(op: str) -> list[str]:
    """The arguments that have a gradient, in order."""
    return [name.removesuffix("*") for name in OPS[op].split() if name.endswith("*")]
