"""A GGUF file in llama.cpp: `--candidate gguf:FILE`."""

from harness.candidates.llama_cpp.file import open

__all__ = ["open"]
