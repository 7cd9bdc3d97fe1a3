"""Writes a small Hugging Face checkpoint folder, to try `hf:DIR` without a download; any such folder works.

    python examples/hf_checkpoint.py qwen3 tiny-qwen3
    harness run builtin:model -k DECODER-TRAINED --candidate hf:tiny-qwen3

transformers (extra `hf`) reads the folder and computes the candidate's results. The float64 reference reads the same
files by itself. The first argument is llama, qwen2, qwen3 or qwen3_5_text (attention and gated-delta-net layers in
turn).
"""

import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {
    "vocab_size": 151,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 24,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
ROPE = {"rope_type": "default", "rope_theta": 1e6}
OWN = {
    "qwen3_5_text": {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 6,
        "rope_parameters": {**ROPE, "partial_rotary_factor": 0.25, "mrope_section": [1, 1, 1]},
    }
}


def main(kind, folder):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZES, "rope_parameters": ROPE, **OWN.get(kind, {})})
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            # Replace the initial values: gains of 1, biases of 0 and flat attention would hide bugs.
            noise = torch.randn_like(tensor)
            if name.endswith("norm.weight"):
                tensor.copy_(1 + 0.3 * noise)
            elif tensor.ndim == 1:
                tensor.copy_(0.5 * noise)
            else:
                tensor.copy_(noise * (1 if "embed" in name else tensor.shape[-1] ** -0.5))
    model.save_pretrained(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
