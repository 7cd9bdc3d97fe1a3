"""Device faults that a CPU cannot show: each candidate gives the right logits on the CPU, and is red on the rehearsal
device, with the place named."""

from pathlib import Path

import pytest

from harness.judging.verdict import Verdict
from tests.support.laboratory import judged_alone

CLAIM = "FALSIFY-DECODER-LOGITS-001"
FORM = """
import torch
from harness.candidates.torch.model import decoder
from harness.candidates.torch.model.decoder import Decoder

ARRAYS = "torch"


class Faulty(Decoder):
{methods}

def load(config, weights, *, dtype, device):
    kind = getattr(torch, dtype)
    return Faulty(dict(config), {{name: w.to(device, kind) for name, w in weights.items()}})
"""
FAULTS = {
    "a mask left on the host": (
        """
    def attend(self, q, k, v, hidden, at):
        return super().attend(q, k, v, hidden.cpu() if hidden.dim() == 2 else hidden, at)
""",
        Verdict.ERROR,
        "two devices, rehearsal:0 and cpu",
    ),
    "a mask built on the host and uploaded": (
        """
    def attend(self, q, k, v, hidden, at):
        seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1)
        return super().attend(q, k, v, seen.to(q.device), at)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten._to_copy.default copied between host and device)",
    ),
    "a layer's round trip": (
        """
    def norm(self, x, weight, eps):
        return Decoder.norm(x.cpu(), weight.cpu(), eps).to(x.device)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten._to_copy.default copied between host and device)",
    ),
    "a table built on the host": (
        """
    def _rope(self, positions, x):
        return super()._rope(positions.cpu(), torch.empty(1, dtype=x.dtype)).to(x.device)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten._to_copy.default copied between host and device)",
    ),
    "a missing kernel that falls back": (
        """
    def norm(self, x, weight, eps):
        try:
            torch.histogram(x.float().flatten(), 4)
        except NotImplementedError:
            torch.histogram(x.cpu().float().flatten(), 4)
        return Decoder.norm(x, weight, eps)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten._to_copy.default copied between host and device)",
    ),
    "a product widened on the host": (
        """
    def softmax(self, scores):
        wide = torch.from_numpy(scores.cpu().double().numpy())
        return Decoder.softmax(wide).to(scores.device, scores.dtype)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten._to_copy.default copied between host and device)",
    ),
    "a table that lives on the host": (
        """
    def _rope(self, positions, x):
        torch.arange(0, self.head_dim, 2)
        return super()._rope(positions, x)
""",
        Verdict.FALSIFIED,
        "on_device (logits: aten.arange.start_step ran on the host)",
    ),
}


ONE_CASE = {
    "dtype": ["float32"],
    "length": [17],
    "model_type": ["qwen2"],
    "tied": [False],
    "biases": [True],
    "rope_theta": [1e6],
    "eps": [1e-6],
}


def verdict_on(device: str, source: str, folder: Path) -> tuple[Verdict, str]:
    folder.mkdir()
    explore = {name: {"choices": values} for name, values in ONE_CASE.items()}
    found = judged_alone(CLAIM, folder, source, device=device, explore=explore, examples=1, budget_s=0.1)
    return found.verdict, found.reason


@pytest.mark.parametrize("name", FAULTS)
def test_a_device_fault_is_red_on_the_rehearsal_device_alone(name, tmp_path: Path):
    methods, expected, text = FAULTS[name]
    source = FORM.format(methods=methods)
    # Without its mutants a claim that broke no limit is VACUOUS.
    assert verdict_on("cpu", source, tmp_path / "cpu")[0] is Verdict.VACUOUS
    verdict, reason = verdict_on("rehearsal", source, tmp_path / "rehearsal")
    assert verdict is expected, reason
    assert text in reason


def test_the_decoder_without_a_fault_is_not_red(tmp_path: Path):
    source = FORM.format(methods="    pass\n")
    assert verdict_on("rehearsal", source, tmp_path / "rehearsal")[0] is Verdict.VACUOUS
