"""An external program in any language as the candidate: `--candidate exec:COMMAND`; see docs/exec.md."""

from harness.candidates.process.command import open, words

__all__ = ["open", "words"]
