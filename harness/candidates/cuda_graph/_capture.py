"""Capture a function on tensors of fixed shapes in a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

Function = Callable[..., torch.Tensor]
WARM_UPS = 2


class NeedsCuda(Exception):
    """There is no CUDA graph without CUDA. `unsupported` makes the claim UNVERIFIED."""

    unsupported = True


def capture(function: Function, *inputs: torch.Tensor) -> Function:
    """The function, captured once: a call copies its arguments into the graph's inputs and replays it.

    Shapes: those of `inputs`, at every call. The answer is a copy: the next replay overwrites the graph's own.
    The function may write to tensors that it holds; what it writes must depend on its inputs only, because the
    warm-up calls it on the same inputs. Source: torch.cuda.CUDAGraph and torch.cuda.graph.
    """
    held = [each.clone() for each in inputs]
    device = inputs[0].device
    with torch.cuda.device(device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # cuBLAS takes its workspace on the first call, which may not be captured
            for _ in range(WARM_UPS):
                function(*held)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answer = function(*held)

    def replay(*given: torch.Tensor) -> torch.Tensor:
        with torch.cuda.device(device):
            for own, each in zip(held, given, strict=True):
                own.copy_(each)
            graph.replay()
            return answer.clone()

    return replay
