"""What a call copies to the host, computes there, or waits for is counted; what stays on the device is not."""

import pytest
import torch

from harness.subject.rehearsal import start
from harness.subject.traffic import Traffic
from harness.subject.watch import Watch

start()
x = torch.arange(6.0, device="rehearsal")

COUNTED = {
    "upload": (lambda: torch.ones(3).to("rehearsal"), {"copies": 1, "host": 1}),
    "download": (lambda: x.cpu(), {"copies": 1}),
    "download into": (lambda: torch.empty(6).copy_(x), {"copies": 1, "host": 1}),
    "item": (lambda: x.sum().item(), {"reads": 1}),
    "condition": (lambda: bool((x > 0).any()), {"reads": 1}),
    "one number": (lambda: x.sum().cpu(), {"reads": 1}),
    "nonzero": (lambda: x.nonzero(), {"reads": 1}),
    "mask as index": (lambda: x[x > 2], {"reads": 1}),
    "list": (lambda: x.tolist(), {"copies": 1}),
    "host index": (lambda: x[torch.tensor([1, 2])], {"copies": 1, "host": 1}),
    "table on the host": (lambda: torch.arange(4), {"host": 1}),
    "a number": (lambda: x * torch.tensor(2.0), {}),
    "on the device": (lambda: (x.view(2, 3) @ x.view(3, 2)).softmax(-1).argmax(), {}),
}


@pytest.mark.parametrize("name", COUNTED)
def test_what_concerns_the_host_is_counted(name):
    call, expected = COUNTED[name]
    seen = Traffic()
    with Watch(seen, "op"):
        call()
    found = {kind: sum(getattr(seen, kind).values()) for kind in ("copies", "reads", "host")}
    assert {kind: count for kind, count in found.items() if count} == expected
    assert all(place.startswith("op: aten.") for counts in (seen.copies, seen.reads, seen.host) for place in counts)


def test_a_backward_pass_is_watched_too():
    leaf = x.clone().requires_grad_()
    seen = Traffic()

    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value * 1

        @staticmethod
        def backward(ctx, gradient):
            return gradient.cpu().to("rehearsal")

    with Watch(seen, "step"):
        Through.apply(leaf).sum().backward()
    assert sum(seen.copies.values()) == 2
    seen.clear()
    assert seen == Traffic()
