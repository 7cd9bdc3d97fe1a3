"""The value of every stage of a decoder's forward pass, and which stage edits what it only should read."""

from __future__ import annotations

import torch

READ_UNTIL = {
    "embed": ("attn_residual",),
    "attn_residual": ("mlp_residual",),
    "mlp_residual": ("attn_residual", "final_norm"),
    "input_norm": ("v_proj",),
    "post_norm": ("up_proj",),
}
"""Stages whose values have several readers, and the last of them, which may edit the value in place."""


class StageRecord:
    """A function (name, value) -> the value that later stages read, which keeps all values in `seen`.

    A norm that edits the residual stream is right itself, and the sum behind it is wrong. The version counter of a
    tensor counts edits, so the stage that edits is found and gets NaN; the sum behind it is wrong too, but later.
    """

    def __init__(self, given: dict[str, torch.Tensor]) -> None:
        self.given = given
        self.seen: dict[str, torch.Tensor] = {}
        self._live: list[tuple[str, torch.Tensor, int]] = []

    def __call__(self, name: str, value: torch.Tensor) -> torch.Tensor:
        kind = name.rpartition(".")[2]
        self._live = [entry for entry in self._live if kind not in READ_UNTIL[entry[0]]]
        unedited = [entry for entry in self._live if entry[1]._version == entry[2]]
        edits, self._live = len(unedited) < len(self._live), unedited
        # A copy, because a later operation may reuse the memory of a value that it is the last to read.
        self.seen[name] = torch.full_like(value, float("nan")) if edits else value.clone()
        read = self.given.pop(name).to(value) if name in self.given else value
        if kind in READ_UNTIL:
            self._live.append((kind, read, read._version))
        return read
