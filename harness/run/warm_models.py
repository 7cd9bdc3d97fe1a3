"""The forkserver of a run with several claims on transformers imports it once; each claim would take 4 s to do so."""

import contextlib

# An installation that is broken, however it fails, breaks the claims that need it, and no other.
with contextlib.suppress(Exception):
    from transformers.models.qwen2 import modeling_qwen2  # noqa: F401
with contextlib.suppress(Exception):
    import peft  # noqa: F401
