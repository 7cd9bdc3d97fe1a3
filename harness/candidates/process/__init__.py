"""An external program in any language: `--candidate exec:COMMAND`, one request folder a call; docs/exec.md."""

from harness.candidates.process.command import open, words

__all__ = ["open", "words"]
