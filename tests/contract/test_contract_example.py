"""The contract of the design page validates, and so does what it binds."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.names.resolve import bind
from harness.contract.validate import check
from harness.errors import UserError
from tests.support.example_contract import CONTRACT, lay, told


def test_the_example_validates_and_binds(tmp_path: Path) -> None:
    checked = check([lay(tmp_path)])
    assert told(checked) == []
    assert [contract.id for contract in checked.contracts] == ["rmsnorm-eps-threading"]
    binding = checked.bindings["FALSIFY-RMSNORM-EPS-001"]
    assert (Path(binding.falsifier.file).name, binding.falsifier.name, binding.falsifier.line) == (
        "stub.py",
        "parity",
        5,
    )
    assert binding.mutants["eps_outside_sqrt"] == "stub.py:eps_outside_sqrt"
    assert binding.measures == ("ln_vocab", "val_loss")
    assert binding.inputs is not None
    assert binding.inputs.name == "rmsnorm"
    claim = checked.contracts[0].claims[0]
    assert (claim.line, claim.explore["eps"]["choices"]) == (11, [1e-6, 1e-5])
    assert bind(claim) == binding


def test_bind_raises_one_line_when_the_falsifier_is_gone(tmp_path: Path) -> None:
    claim = check([lay(tmp_path)]).contracts[0].claims[0]
    (tmp_path / "stub.py").unlink()
    with pytest.raises(UserError, match=r"rmsnorm\.yaml:11: FALSIFY-RMSNORM-EPS-001: .*no file .*stub\.py"):
        bind(claim)


def test_the_names_of_the_stated_package_resolve_without_an_import(tmp_path: Path) -> None:
    text = CONTRACT.replace("stub.py:parity", "harness.falsifiers.ops:parity").replace(
        "torch_ops.py", "harness.falsifiers.baselines.torch_ops"
    )
    checked = check([lay(tmp_path, text.replace("eps_hardcoded_1e-5", "no_such_mutant"))])
    assert [line for line in told(checked) if "'no_such_mutant'" not in line] == []
    assert "harness/falsifiers/ops/mutants/rmsnorm.py" in str(checked.problems[0])
