"""The default candidate: eager torch on the run's device."""

from harness.candidates.torch.adapters.adapter_files import load_adapter, save_adapter
from harness.candidates.torch.adapters.lora import lora_linear, lora_scale, merge_lora, unmerge_lora
from harness.candidates.torch.generation.detokenize import detokenize
from harness.candidates.torch.model.decoder import load
from harness.candidates.torch.model.evaluate import evaluate
from harness.candidates.torch.model.gated_delta_net import gated_delta_net, gated_delta_net_grads, load_gated_delta_net
from harness.candidates.torch.model.nf4 import load_nf4
from harness.candidates.torch.model.trace import trace
from harness.candidates.torch.ops.activations import elu, gelu, gelu_tanh, leaky_relu, relu, sigmoid, silu, swiglu, tanh
from harness.candidates.torch.ops.attention import ARRAYS, attention, rmsnorm, softmax
from harness.candidates.torch.ops.backward import (
    attention_backward,
    cross_entropy_backward,
    elu_backward,
    embedding_backward,
    gelu_backward,
    gelu_tanh_backward,
    l2norm_backward,
    layernorm_backward,
    leaky_relu_backward,
    linear_backward,
    matmul_backward,
    relu_backward,
    rmsnorm_backward,
    rope_backward,
    sigmoid_backward,
    silu_backward,
    softmax_backward,
    swiglu_backward,
    tanh_backward,
    weighted_bce_backward,
)
from harness.candidates.torch.ops.linear import embedding, linear, matmul
from harness.candidates.torch.ops.losses import cross_entropy, weighted_bce
from harness.candidates.torch.ops.norms import l2norm, layernorm
from harness.candidates.torch.ops.quantization import (
    dequantize,
    load_quantized,
    load_quantized_checkpoint,
    quantize,
    quantize_weights,
)
from harness.candidates.torch.ops.rope import rope
from harness.candidates.torch.ops.sampling import argmax, top_k
from harness.candidates.torch.packaging.gguf_files import audit_checkpoint, export_gguf, import_gguf
from harness.candidates.torch.performance.throughput import throughput
from harness.candidates.torch.training.accumulation import accumulate, accumulator, clip_gradients
from harness.candidates.torch.training.endpoint import (
    endpoint_grads,
    load_checkpoint,
    perplexity,
    save_checkpoint,
    train_endpoint,
)
from harness.candidates.torch.training.optim import adamw_step, lr_at, optimizer
from harness.candidates.torch.training.run_audit import audit_run
from harness.candidates.torch.training.seq2seq import load_seq2seq
from harness.candidates.torch.training.targets import example_weight, gate_targets, next_token_targets
from harness.candidates.torch.training.train_copy import trainer_copy
from harness.candidates.torch.training.trainer import train
from harness.candidates.torch.training.training_metrics import training_metrics

__all__ = [
    "ARRAYS",
    "accumulate",
    "accumulator",
    "adamw_step",
    "argmax",
    "attention",
    "attention_backward",
    "audit_checkpoint",
    "audit_run",
    "clip_gradients",
    "cross_entropy",
    "cross_entropy_backward",
    "dequantize",
    "detokenize",
    "elu",
    "elu_backward",
    "embedding",
    "embedding_backward",
    "endpoint_grads",
    "evaluate",
    "example_weight",
    "export_gguf",
    "gate_targets",
    "gated_delta_net",
    "gated_delta_net_grads",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "import_gguf",
    "l2norm",
    "l2norm_backward",
    "layernorm",
    "layernorm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "linear",
    "linear_backward",
    "load",
    "load_adapter",
    "load_checkpoint",
    "load_gated_delta_net",
    "load_nf4",
    "load_quantized",
    "load_quantized_checkpoint",
    "load_seq2seq",
    "lora_linear",
    "lora_scale",
    "lr_at",
    "matmul",
    "matmul_backward",
    "merge_lora",
    "next_token_targets",
    "optimizer",
    "perplexity",
    "quantize",
    "quantize_weights",
    "relu",
    "relu_backward",
    "rmsnorm",
    "rmsnorm_backward",
    "rope",
    "rope_backward",
    "save_adapter",
    "save_checkpoint",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "softmax",
    "softmax_backward",
    "swiglu",
    "swiglu_backward",
    "tanh",
    "tanh_backward",
    "throughput",
    "top_k",
    "trace",
    "train",
    "train_endpoint",
    "trainer_copy",
    "training_metrics",
    "unmerge_lora",
    "weighted_bce",
    "weighted_bce_backward",
]
