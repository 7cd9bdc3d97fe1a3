"""--device: each kind that torch knows is found where torch says it is, and any other name is refused in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.contract import schema
from harness.errors import UserError
from harness.evidence import shape
from harness.platforms import DISCHARGING, PLATFORMS, device_form, named
from harness.subject.boundary import Boundary, Unsupported
from harness.subject.device import Found, find, platform
from harness.subject.trace import Trace
from tests.support.devices import fake_torch
from tests.support.repository import ROOT


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        ({"cuda": 2}, "auto", "cuda:0"),
        ({"cuda": 2}, "cuda", "cuda:0"),
        ({"cuda": 2}, "cuda:1", "cuda:1"),
        ({"cuda": 2}, "cpu", "cpu"),
        ({"mps": 1}, "auto", "mps"),
        ({"mps": 1}, "mps", "mps"),
        ({"xpu": 2}, "auto", "xpu:0"),
        ({"xpu": 2}, "xpu:1", "xpu:1"),
        ({"hpu": 1}, "auto", "hpu:0"),
        ({"hpu": 1}, "hpu", "hpu:0"),
        ({}, "auto", "cpu"),
        ({}, "rehearsal", "rehearsal"),
        ({"cuda": 1, "xpu": 1}, "xpu", "xpu:0"),
        ({"npu": 1}, "auto", "cpu"),
    ],
)
def test_a_device_that_torch_reports_is_found(there, asked, found, monkeypatch):
    fake_torch.install(monkeypatch, **there)
    assert find(asked) == Found(found)
    assert platform(found) in PLATFORMS


def test_rocm_is_cuda(monkeypatch):
    fake_torch.install(monkeypatch, hip="6.4", cuda=1)
    assert find("auto") == find("cuda") == Found("cuda:0")


@pytest.mark.parametrize(
    ("there", "asked", "why"),
    [
        ({}, "cuda", "device cuda is not there (torch finds 0 cuda devices)"),
        ({"cuda": 2}, "cuda:2", "device cuda:2 is not there (torch finds 2 cuda devices)"),
        ({"cuda": 1}, "cuda:1", "device cuda:1 is not there (torch finds 1 cuda device)"),
        ({"cuda": 1}, "mps", "device mps is not there (torch finds 0 mps devices)"),
        ({"cuda": 1}, "hpu:3", "device hpu:3 is not there (torch finds 0 hpu devices)"),
    ],
)
def test_a_device_that_is_missing_says_why(there, asked, why, monkeypatch):
    fake_torch.install(monkeypatch, **there)
    assert find(asked) == Found(asked, why)


WRONG = ("gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:²", "cpu:0", "mps:0", "auto:0", "")


@pytest.mark.parametrize("asked", WRONG)
def test_any_other_name_is_refused_with_what_is_allowed(asked, monkeypatch):
    fake_torch.install(monkeypatch, cuda=2, mps=1)
    with pytest.raises(UserError) as told:
        find(asked)
    allowed = "auto, cpu, cuda[:i], mps, xpu[:i], hpu[:i] or rehearsal"
    assert str(told.value) == f"--device {asked}: expected {allowed}"
    assert device_form() == allowed


def test_without_torch_only_the_cpu_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert find("auto") == find("cpu") == Found("cpu")
    for asked in ("cuda", "rehearsal"):
        assert find(asked) == Found(asked, "torch is not installed")


def test_every_list_of_platforms_is_the_one_list():
    assert tuple(shape.load("run")["$defs"]["record"]["properties"]["platform"]["enum"]) == PLATFORMS
    claim = schema._load("contract")["$defs"]["claim"]["properties"]["discharges_on"]
    assert tuple(claim["items"]["enum"]) == DISCHARGING == tuple(n for n in PLATFORMS if n != "rehearsal")
    assert claim["items"]["description"] == f"{named(DISCHARGING[:-1])} or {DISCHARGING[-1]}, never rehearsal"
    defs = shape.load("run")["$defs"]
    assert tuple(defs["claim"]["properties"]["survived_on"]["items"]["enum"]) == PLATFORMS
    assert tuple(defs["target"]["properties"]["platform"]["enum"]) == (*DISCHARGING, None)
    ships = schema._load("ship")["$defs"]["target"]["properties"]["platform"]
    assert (tuple(ships["enum"]), ships["description"]) == (DISCHARGING, claim["items"]["description"])
    for name in PLATFORMS:
        assert f"`{name}`" in (ROOT / "docs" / "guide" / "device.md").read_text(encoding="utf-8")


def test_names_as_text():
    assert named(["cuda"]) == "cuda"
    assert named(["cpu", "cuda", "mps"], " or ") == "cpu, cuda or mps"
    assert named(DISCHARGING[::-1]) == "any platform but rehearsal"


def test_float64_on_mps_is_unsupported_not_a_crash():
    """torch has no float64 there, and raises TypeError on the transfer."""
    subject = Boundary(lambda x: x, role="candidate", dtype="float64", device="mps", trace=Trace(), arrays="torch")
    with pytest.raises(Unsupported, match="candidate: torch has no float64 on mps"):
        subject(np.ones(3))


def test_only_the_probe_asks_torch_for_its_devices():
    """Counting CUDA's devices initialises the driver, and a process that is forked later cannot use CUDA."""
    words = (".is_available(", ".device_count(", ".current_accelerator(", ".get_device_properties(")
    engine = [path for path in _engine() if any(word in path.read_text(encoding="utf-8") for word in words)]
    names = sorted(path.relative_to(ROOT / "harness").as_posix() for path in engine)
    assert names == ["subject/device.py", "subject/device_facts.py"]
    callers = ("device import find\n", "device_facts import facts\n", "device_facts.facts(", "device.find(")
    users = [path.name for path in _engine() if any(word in path.read_text(encoding="utf-8") for word in callers)]
    assert users == ["probe.py"]


def _engine() -> list[Path]:
    rooms = ("candidates", "falsifiers", "reference", "formats", "consumers", "models", "template")
    files = (ROOT / "harness").rglob("*.py")
    return sorted(path for path in files if path.relative_to(ROOT / "harness").parts[0] not in rooms)


def test_the_parent_of_a_run_never_loads_torch(tmp_path):
    """So it cannot initialise a device, and what it forks can use one."""
    from harness.falsifiers.itself.shop import CANDIDATE
    from tests.support.command import started
    from tests.support.doubling import contract

    contract(tmp_path / "c", "doubling", ["doubles"])
    (tmp_path / "good.py").write_text(CANDIDATE, encoding="utf-8")
    code = (
        "import sys; from harness.commands.main import main\n"
        "if __name__ == '__main__':\n"
        " code = main(['run', 'c', '--candidate', 'good.py', '--device', 'auto', '--json'])\n"
        " print(code, 'torch' in sys.modules, file=sys.stderr)\n"
    )
    (tmp_path / "parent.py").write_text(code, encoding="utf-8")
    done = started([sys.executable, "parent.py"], tmp_path)
    assert done.stderr.splitlines()[-1] == "0 False", done.stderr
    assert json.loads(done.stdout)["counts"]
