"""The candidate `cuda_graph`: its buffers and steps are tested on a CPU with a stand-in for the capture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.candidates import cuda_graph
from harness.candidates.cuda_graph import _cache
from harness.candidates.cuda_graph.decoder import Decoder
from harness.case import Case
from harness.dtypes import FORMATS
from harness.falsifiers.model import kv_cache
from harness.falsifiers.model.decoder import logit_parity
from harness.subject.trace import Trace
from tests.support.cpu_boundary import boundary
from tests.support.distance import rel_l2
from tests.support.laboratory import changed, examine, shipped
from tests.support.model.small_decoder import MODEL

GIVEN = {name: value for name, value in MODEL.items() if name != "model_type"}
CALLS = {
    "every_split": partial(kv_cache.every_split, length=7, model=GIVEN),
    "chunked": partial(kv_cache.chunked, length=11, chunk=4, model=GIVEN),
    "left_padded": partial(kv_cache.left_padded, length=6, pad=2, steps=3, model=GIVEN),
    "second_request": partial(kv_cache.second_request, first=4, second=6, steps=3, together=True, model=GIVEN),
    "logits": partial(logit_parity, **MODEL, length=9),
}


class Recorder(TorchDispatchMode):
    """Note every op with its tensors: like a graph, a replay computes on the same tensors, whoever holds them now."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert op is not torch.ops.aten._local_scalar_dense.default, "a graph may not read a number on the host"
        out = op(*args, **(kwargs or {}))
        self.calls.append((op, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        """Compute every op again, into the tensors that it gave at first."""
        for op, args, kwargs, out in self.calls:
            for old, new in zip(tree_leaves(out), tree_leaves(op(*args, **kwargs)), strict=True):
                old.copy_(new)


def stand_in(function: Any, *inputs: torch.Tensor, stale: bool = False, bare: bool = False) -> Any:
    """What a graph does, without CUDA: warm-ups, then replays on tensors of its own into an answer of its own.

    Planted faults: `stale` inputs are not copied in; a `bare` answer is not copied out.
    """
    held = [each.clone() for each in inputs]
    for _ in range(2):
        function(*held)
    with Recorder() as graph:
        answer = function(*held)

    def replay(*given: torch.Tensor) -> torch.Tensor:
        for own, each in zip(held, given, strict=True):
            if not stale:
                own.copy_(each)
        graph.replay()
        return answer if bare else answer.clone()

    return replay


def captured(capture: Any) -> Any:
    """The candidate with a stand-in, on the CPU."""

    def load(config: Mapping[str, Any], weights: Mapping[str, Any], *, dtype: str, device: str) -> Decoder:
        kind = getattr(torch, dtype)
        held = {name: torch.as_tensor(w).to(device, kind) for name, w in weights.items()}
        return Decoder(dict(config), held, capture)

    return SimpleNamespace(ARRAYS="torch", load=load)


def distance(call: Any, capture: Any, dtype: str = "float64", trace: Trace | None = None) -> float:
    """The largest relative error of a falsifier's outputs."""
    seen = call(boundary(captured(capture), dtype, trace or Trace()), Case(dtype=dtype))
    return max(rel_l2(*pair) for pair in seen.pairs.values())


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", CALLS)
def test_replayed_steps_equal_the_reference(name: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache, "STEP", 4)  # so that buffers are enlarged on the way
    trace = Trace()
    assert distance(CALLS[name], stand_in, dtype, trace) <= 64 * FORMATS[dtype].unit_roundoff
    assert [trace.inputs_changed, trace.outputs_changed()] == [[], []]


@pytest.mark.parametrize("name", ["every_split", "left_padded", "second_request"])
def test_a_graph_that_replays_old_tokens_is_wrong(name: str) -> None:
    assert distance(CALLS[name], partial(stand_in, stale=True)) > 1e-2


def test_an_answer_that_the_next_replay_overwrites_is_seen() -> None:
    trace = Trace()
    distance(CALLS["every_split"], partial(stand_in, bare=True), "float64", trace)
    assert trace.outputs_changed()


def test_without_cuda_it_says_what_it_needs_and_survives_nothing(tmp_path: Path) -> None:
    claim, mutants = shipped("FALSIFY-DECODER-LOGITS-001")
    found = examine(changed(claim, examples=1), mutants, tmp_path, "cuda_graph").judgement
    assert found.verdict == "UNVERIFIED"
    assert "found device cpu, expected cuda" in found.reason


def test_it_offers_the_decoder_alone() -> None:
    assert "load" in dir(cuda_graph)
    assert not hasattr(cuda_graph, "rmsnorm")
