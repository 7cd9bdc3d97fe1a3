"""A Hugging Face checkpoint folder, run by transformers: `--candidate hf:DIR`."""

from harness.candidates.huggingface.folder import open

__all__ = ["open"]
