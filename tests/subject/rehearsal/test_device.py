"""The rehearsal device computes what the CPU computes, and refuses what CUDA refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchgen
import yaml

from harness.subject.rehearsal import rules, start

start()
DEVICE = "rehearsal"
Make = Callable[[str], object]


def trained(device: str) -> torch.Tensor:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 3, device=device)).square().sum().backward()
        optimizer.step()
    return model.weight.detach()


def edited(device: str) -> torch.Tensor:
    x = torch.zeros(3, 4, device=device)
    x[1] = 7
    x[:, 2] += 1
    x.t_()
    return x


def replaced(device: str) -> torch.Tensor:
    p = torch.nn.Parameter(torch.ones(3, device=device))
    p.data = torch.arange(4.0, device=device)
    return p.detach() * 2


def rotated(device: str) -> torch.Tensor:
    """The gradient of a rotation by complex numbers, which torch computes with lazy conjugates."""
    torch.manual_seed(0)
    x = torch.randn(3, 4).to(device).requires_grad_()
    turn = torch.polar(torch.ones(3, 2), torch.randn(3, 2)).to(device)
    turned = torch.complex(x[:, :2].contiguous(), x[:, 2:].contiguous()) * turn
    (turned.real.square() + turned.conj().imag).sum().backward()
    return x.grad


def lowered(device: str) -> torch.Tensor:
    with torch.autocast(device, dtype=torch.bfloat16):
        return torch.full((2, 2), 1.001, device=device) @ torch.ones(2, 2, device=device)


SAME: dict[str, Make] = {
    "arange": lambda d: torch.arange(2, 9, 2, device=d).view(2, 2),
    "tensor": lambda d: torch.tensor([[1, 2], [3, 4]], dtype=torch.float64, device=d),
    "random": lambda d: (torch.manual_seed(0), torch.randn(3, device=d))[1],
    "mask": lambda d: torch.ones(4, 4, device=d).tril().masked_fill(torch.eye(4, device=d) > 0, -1.0),
    "index": lambda d: torch.arange(6, device=d)[torch.arange(6, device=d) % 2 == 0],
    "host index": lambda d: torch.arange(6, device=d)[torch.tensor([5, 0])],
    "number": lambda d: torch.ones(3, device=d) * torch.tensor(2.0),
    "item": lambda d: torch.arange(6.0, device=d).sum().item(),
    "list": lambda d: torch.arange(6, device=d).tolist(),
    "text": lambda d: f"{torch.ones(1, device=d).sum():.1f}",
    "forced": lambda d: float(torch.ones(3, device=d).numpy(force=True).sum()),
    "unique": lambda d: torch.tensor([1, 1, 2], device=d).unique(),
    "complex": lambda d: torch.view_as_real(torch.polar(torch.ones(3, device=d), torch.ones(3, device=d))),
    "attention": lambda d: F.scaled_dot_product_attention(*[torch.eye(8, device=d)[None]] * 3, is_causal=True),
    "loss": lambda d: F.cross_entropy(torch.eye(3, device=d), torch.tensor([0, 1, -100], device=d)),
    "norm": lambda d: F.rms_norm(torch.arange(6.0, device=d).view(2, 3), (3,)),
    "embedding": lambda d: F.embedding(torch.tensor([1, 0], device=d), torch.eye(3, device=d)),
    "16 bits": lambda d: torch.eye(3, device=d, dtype=torch.bfloat16) @ torch.eye(3, device=d, dtype=torch.bfloat16),
    "out": lambda d: torch.add(torch.ones(3, device=d), 1, out=torch.empty(0, device=d)),
    "eye": lambda d: torch.eye(3, device=d) @ torch.eye(3, device=d),
    "resized": lambda d: torch.zeros(3, device=d).resize_(2),
    "edited": edited,
    "replaced": replaced,
    "conjugate": lambda d: torch.polar(torch.ones(3, device=d), torch.ones(3, device=d)).conj() * 2,
    "rotated": rotated,
    "trained": trained,
    "autocast": lowered,
}


@pytest.mark.parametrize("name", SAME)
def test_it_computes_what_the_cpu_computes(name):
    found, expected = SAME[name](DEVICE), SAME[name]("cpu")
    if not isinstance(expected, torch.Tensor):
        assert found == expected
        return
    assert found.device.type == DEVICE
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert torch.equal(found.cpu(), expected)


REFUSED: dict[str, tuple[Make, type[Exception], str]] = {
    "mask on the host": (
        lambda d: torch.ones(3, device=d) * torch.ones(3),
        RuntimeError,
        "two devices, rehearsal:0 and",
    ),
    "number on the device": (lambda d: torch.ones(3) * torch.tensor(2.0, device=d), RuntimeError, "two devices"),
    "weight on the host": (
        lambda d: F.linear(torch.ones(2, 3, device=d), torch.ones(4, 3)),
        RuntimeError,
        "two devices",
    ),
    "ids on the host": (lambda d: F.embedding(torch.tensor([1]), torch.eye(3, device=d)), RuntimeError, "two devices"),
    "cat": (lambda d: torch.cat([torch.ones(1), torch.ones(1, device=d)]), RuntimeError, "two devices"),
    "product of integers": (
        lambda d: torch.ones(2, 2, dtype=torch.long, device=d) @ torch.ones(2, 2, dtype=torch.long, device=d),
        NotImplementedError,
        "not implemented for integers",
    ),
    "numpy": (lambda d: torch.ones(3, device=d).numpy(), TypeError, r"Use Tensor\.cpu\(\)"),
    "asarray": (lambda d: np.asarray(torch.ones(3, device=d)), TypeError, r"Use Tensor\.cpu\(\)"),
    "missing kernel": (lambda d: torch.histogram(torch.ones(3, device=d), 4), NotImplementedError, "no kernel for it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_what_cuda_refuses(name):
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text):
        call(DEVICE)


def test_a_missing_kernel_runs_on_the_host_only_on_request_and_is_counted(monkeypatch):
    monkeypatch.setenv(rules.FALLBACK, "1")
    monkeypatch.setattr(rules, "fallbacks", {})
    with pytest.warns(UserWarning, match="histogram.bin_ct has no kernel on rehearsal"):
        found = torch.histogram(torch.arange(4.0, device=DEVICE), 2).hist
    assert found.tolist() == [2.0, 2.0]
    assert rules.fallbacks == {"histogram.bin_ct": 1}


def test_the_missing_kernels_are_those_that_torch_lists_for_the_cpu_alone():
    """Of torch's own table; kernels made for torch's tests, and those that only the CPU's dispatch calls, left out."""
    text = (Path(torchgen.__file__).parent / "packaged" / "ATen" / "native" / "native_functions.yaml").read_text()
    found = set()
    for entry in yaml.load(text, Loader=yaml.CSafeLoader):
        kernels = {key.strip() for keys in entry.get("dispatch") or {} for key in keys.split(",")}
        everywhere = "CUDA" in kernels or any(key.startswith("Composite") for key in kernels)
        if "CPU" in kernels and not everywhere and "structured_delegate" not in entry:
            found.add(entry["func"].partition("(")[0])
    private = (
        "_test",
        "_foobar",
        "_make_dep_token",
        "_functional_assert",
        "_scaled_dot_product_flash_attention_for_cpu",
    )
    assert {name for name in found if not name.startswith(private)} == rules.HOST_ONLY
