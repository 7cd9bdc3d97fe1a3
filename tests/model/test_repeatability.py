"""The same bytes again and beside another call: what must be caught, and what must not."""

import threading

import numpy as np
import pytest
import torch

from harness.judging.verdict import Verdict
from harness.subject import turns
from tests.support import laboratory

CLAIMS, MUTANTS = laboratory.shipped_in("model", "repeatability")
USER = """
import threading, torch
from harness.candidates.torch.model import decoder

ARRAYS = "torch"
{head}

class Model:
    def __init__(self, inner):
        self.inner = inner
    def logits(self, tokens):
        {logits}
    def prefill(self, tokens):
        logits, cache = self.inner.prefill(tokens)
        return logits, cache
    def decode(self, tokens, cache):
        return self.inner.decode(tokens, cache)

def load(config, weights, *, dtype, device):
    return Model(decoder.load(config, weights, dtype=dtype, device=device))
"""
RIGHT = "return self.inner.logits(tokens)"
NUMPY = """
import numpy as np
from harness.reference.model.decoder import decoder_logits

{head}

class Model:
    def __init__(self, config, weights):
        self.config, self.weights = config, weights
    def logits(self, tokens):
        {start}
        out = decoder_logits(self.config, self.weights, tokens).astype(np.float32)
        {end}
        return out.copy()

def load(config, weights):
    return Model(config, weights)
"""


LINES = "BUFFER['tokens'] = tokens\n        tokens = BUFFER['tokens']"


def candidate(claim_id, folder, source, **fields):
    """The judgement of one claim, on whole passes in float32, on a candidate given as source."""
    explore = {"length": {"choices": [9]}, "dtype": {"choices": ["float32"]}}
    given = {"cached": False, **fields.pop("given", {})}
    accept = CLAIMS[claim_id].source["accept"]
    name = f"candidate{len(list(folder.iterdir()))}.py"  # a module is read once
    (folder / name).write_text(source, encoding="utf-8")
    claim = laboratory.changed(
        CLAIMS[claim_id], explore=explore, given=given, examples=1, budget_s=0.1, accept=accept, **fields
    )
    return laboratory.examine(claim, {}, folder, name).judgement


def limits(found):
    return {v["limit"] for v in found.violated}


@pytest.mark.sample(1)
@pytest.mark.parametrize("claim_id", CLAIMS)
def test_the_torch_candidate_survives_and_every_mutant_dies(claim_id, tmp_path):
    found = laboratory.examine(CLAIMS[claim_id], MUTANTS[claim_id], tmp_path).judgement
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if not mutant["killed"] or mutant["weak"]]


def test_a_buffer_that_two_calls_share_is_caught_at_the_first_run(tmp_path):
    through = "out = self.inner.logits(tokens); b = BUFFER.setdefault(out.shape, torch.zeros_like(out)); b.copy_(out)"
    source = USER.format(head="BUFFER = {}", logits=f"{through}; return b.clone()")
    assert "undeclared_difference eq 0" in limits(candidate("FALSIFY-TWO-STREAMS-001", tmp_path, source))
    assert not limits(candidate("FALSIFY-SAME-BYTES-001", tmp_path, source))


def test_a_numpy_candidate_with_a_shared_buffer_is_caught_too(tmp_path):
    source = NUMPY.format(head="BUFFER = {}", start=LINES, end="pass")
    assert "undeclared_difference eq 0" in limits(candidate("FALSIFY-TWO-STREAMS-001", tmp_path, source))
    clean = NUMPY.format(head="", start="pass", end="pass")
    assert not limits(candidate("FALSIFY-TWO-STREAMS-001", tmp_path, clean))


def test_calls_that_exclude_each_other_by_a_lock_are_not_accused(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    locked = "with LOCK:\n            return self.inner.logits(tokens)"
    source = USER.format(head="LOCK = threading.Lock()", logits=locked)
    assert not limits(candidate("FALSIFY-TWO-STREAMS-001", tmp_path, source))


@pytest.mark.parametrize("how", ["attribute", "given"])
def test_declared_atomics_are_held_to_the_ratio_alone(how, tmp_path):
    noisy = "out = self.inner.logits(tokens); return out * (1 + (torch.rand_like(out) - 0.5) * 1e-7)"
    wrong = "out = self.inner.logits(tokens); return out * (1 + (torch.rand_like(out) - 0.5) * 1e-3)"
    head, given = ("ATOMICS = True", {}) if how == "attribute" else ("", {"atomics": True})
    for logits, expected in ((noisy, set()), (wrong, {"err_ratio le 2 [float32]", "worst_ratio le 4 [float32]"})):
        source = USER.format(head=head, logits=logits)
        assert limits(candidate("FALSIFY-SAME-BYTES-001", tmp_path, source, given=given)) == expected
    undeclared = candidate("FALSIFY-SAME-BYTES-001", tmp_path, USER.format(head="", logits=noisy))
    assert limits(undeclared) == {"undeclared_difference eq 0"}


def test_two_calls_take_turns_after_every_operation():
    seen = []

    def call(name):
        def work():
            for _ in range(3):
                torch.ones(1).add(1)
                seen.append(name)
            return name

        return work

    results, shared = turns.together([call("a"), call("b")], "cpu", "torch")
    assert results == ["a", "b"]
    assert shared >= 4
    again = list(seen)
    assert again != sorted(again)
    for _ in range(5):
        seen.clear()
        turns.together([call("a"), call("b")], "cpu", "torch")
        assert seen == again


def test_an_exception_in_one_call_is_raised_and_frees_the_other():
    def broken():
        raise ValueError("in the second stream")

    with pytest.raises(ValueError, match="in the second stream"):
        turns.together([lambda: np.zeros(2), broken], "cpu", "numpy")
    assert threading.active_count() < 20
