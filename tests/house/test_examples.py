"""Every example, started by the command that its own header gives; its broken twin is FALSIFIED."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from harness.judging.cause import Cause
from tests.support.command import claims_of, harness
from tests.support.repository import ROOT

EXAMPLES = ROOT / "examples"
SURVIVED = {"SURVIVED"}
"""What `run` puts in the place of a verdict that waits for the mutants alone."""
ON_RMSNORM = ("-k", "rmsnorm")
"""For a broken rmsnorm: the other claims of the command call functions that nothing has changed."""
BY_EPS = {"RMSNORM-EPS-001", "RMSNORM-STATE-001", "RMSNORM-F64-001", "RMSNORM-CALLS-001", "RELATIONS-RMSNORM-001"}
"""The claims on RMSNorm that a hard-coded eps breaks."""


def commands(path: Path) -> list[str]:
    """The `harness run` lines of an example's header."""
    found = re.findall(r"^[ *#]*((?:\w+=\S+ )?harness run .*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, path
    return found


def house(folder: Path) -> Path:
    """A copy of the examples, so that a test may build and break them; commands run in the folder above."""
    shutil.copytree(
        EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("kernels", "kernels_wrong", "__pycache__")
    )
    return folder


def run(command: str, folder: Path, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and the selected claims by id, of a command as a user types it, but for the mutants.

    Those say nothing of an example, and take most of the time: a claim that survived without them counts, and the
    exit code is that of a run with them.
    """
    words = shlex.split(command)
    settings = {}
    while "=" in words[0]:
        name, _, settings[name] = words.pop(0).partition("=")
    assert words.pop(0) == "harness"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    options = ["--device", "cpu", "--evidence", str(folder / "evidence"), "--json", "--no-mutants"]
    done = harness(folder, *words, *options, *more, PATH=path, **settings)
    claims = {id_: claim for id_, claim in claims_of(done).items() if claim["selected"]}
    survived = [claim for claim in claims.values() if claim["cause"] == Cause.MUTANTS_LEFT_OUT]
    for claim in survived:
        claim["verdict"] = "SURVIVED"
    return 0 if survived and done.returncode == 3 else done.returncode, claims


def verdicts(claims: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name.removeprefix("FALSIFY-"): claim["verdict"] for name, claim in claims.items()}


def survivors(claims: dict[str, dict[str, Any]]) -> set[str]:
    """Ids of the claims that survived. An example without gradients leaves the claims on a backward UNVERIFIED."""
    found = verdicts(claims)
    backward = {name for name in found if "-BACKWARD-" in name}
    assert {found[name] for name in backward} <= {"UNVERIFIED"}, found
    assert {found[name] for name in found.keys() - backward} <= SURVIVED, found
    return found.keys() - backward


SWIGLU = {"SWIGLU-001", "SWIGLU-SPECIAL-001", "RELATIONS-SWIGLU-001"}


@pytest.mark.sample(0)
def test_c_program_survives_and_its_twin_that_ignores_eps_is_falsified(tmp_path: Path) -> None:
    folder = house(tmp_path)
    subprocess.run(["make", "-C", "examples/exec_c"], cwd=folder, check=True, capture_output=True)
    (command,) = commands(EXAMPLES / "exec_c" / "kernels.c")
    code, claims = run(command, folder)
    assert code == 0
    assert len(survivors(claims)) == 13
    code, claims = run(command + "_wrong", folder, *ON_RMSNORM)
    assert code == 1
    red = {name for name, verdict in verdicts(claims).items() if verdict == "FALSIFIED"}
    assert red == BY_EPS


@pytest.mark.sample(1)
@pytest.mark.parametrize("which", [0, 1], ids=["ops", "model"])
def test_python_program_survives(tmp_path: Path, which: int) -> None:
    code, claims = run(commands(EXAMPLES / "exec_python" / "program.py")[which], house(tmp_path))
    assert code == 0
    assert survivors(claims) == [SWIGLU, {"DECODER-LOGITS-001"}][which]


@pytest.mark.sample(0)
def test_torch_port_survives_and_a_wrong_eps_is_named_by_its_stage(tmp_path: Path) -> None:
    folder = house(tmp_path)
    (command,) = commands(EXAMPLES / "torch_decoder.py")
    code, claims = run(command, folder)
    assert code == 0
    assert set(verdicts(claims)) == {"DECODER-LOGITS-001"}
    assert set(verdicts(claims).values()) <= SURVIVED, claims
    broken(folder / "examples" / "torch_decoder.py", 'self.eps = config["rms_norm_eps"]', "self.eps = 1e-5")
    code, claims = run(command, folder)
    assert code == 1
    assert verdicts(claims) == {"DECODER-LOGITS-001": "FALSIFIED"}
    assert claims["FALSIFY-DECODER-LOGITS-001"]["first_divergent_stage"] == "layers.0.input_norm"


def broken(path: Path, right: str, wrong: str) -> None:
    """Plant one bug; the line must be there, or nothing is broken."""
    text = path.read_text(encoding="utf-8")
    assert text.count(right) == 1, right
    path.write_text(text.replace(right, wrong), encoding="utf-8")


@pytest.mark.sample(0)
def test_numpy_kernels_survive_and_a_hard_coded_eps_is_falsified(tmp_path: Path) -> None:
    folder = house(tmp_path)
    (command,) = commands(EXAMPLES / "kernels.py")
    code, claims = run(command, folder)
    assert code == 0, verdicts(claims)
    assert len(survivors(claims)) == 16
    broken(folder / "examples" / "kernels.py", "keepdims=True) + eps)", "keepdims=True) + 1e-5)")
    code, claims = run(command, folder, *ON_RMSNORM)
    assert code == 1
    red = {name for name, verdict in verdicts(claims).items() if verdict == "FALSIFIED"}
    assert red == BY_EPS


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", ["qwen3_5_text", "qwen3"])
def test_a_folder_survives_and_another_s_weights_are_falsified(tmp_path: Path, kind: str) -> None:
    folder = house(tmp_path)
    example = folder / "examples" / "hf_checkpoint.py"
    subprocess.run([sys.executable, example, kind, folder / "tiny-qwen3"], check=True, capture_output=True)
    (command,) = commands(example)
    code, claims = run(command, folder)
    assert code == 0
    assert set(verdicts(claims)) == {"DECODER-TRAINED-001"}
    assert set(verdicts(claims).values()) <= SURVIVED, claims
    if kind != "qwen3":
        return  # shrinking a counterexample takes a minute; once is enough
    shutil.copytree(folder / "tiny-qwen3", folder / "other")
    weights = load_file(folder / "other" / "model.safetensors")
    weights["model.layers.1.self_attn.q_norm.weight"] += 0.5
    save_file(weights, folder / "other" / "model.safetensors", metadata={"format": "pt"})
    code, claims = run(command, folder, "--weights", "other")
    assert code == 1
    assert set(verdicts(claims).values()) == {"FALSIFIED"}


TRITON = {
    "RMSNORM-EPS-001": ("/ width + EPS)", "/ width + 1e-5)"),
    "ATTENTION-STATE-001": ("summed = summed * rescale[:, None] + added", "summed = summed + added"),
}
"""Claim -> one line of the Triton example, right and wrong."""
needs_triton = pytest.mark.skipif(
    not find_spec("triton"), reason="NOT TESTED: examples/triton_kernels.py; pip install harness[triton]"
)


def triton(folder: Path, *claims: str, interpret: bool = True) -> tuple[int, dict[str, dict[str, Any]]]:
    """The example's command on some of its claims: in the interpreter all of them take minutes."""
    (command,) = commands(EXAMPLES / "triton_kernels.py")
    return run("TRITON_INTERPRET=1 " * interpret + command, folder, "-k", f"({' or '.join(claims)}) and not relations")


@pytest.mark.sample(0)
@needs_triton
def test_triton_kernels_survive_in_the_interpreter_and_broken_ones_are_falsified(tmp_path: Path) -> None:
    folder = house(tmp_path)
    masks = ("ATTENTION-WINDOW-001", "ATTENTION-PADDING-001")
    code, claims = triton(folder, *TRITON, "SOFTMAX-001", "SWIGLU-001", *masks)
    found = verdicts(claims)
    assert code == 0, found
    assert found.pop("ATTENTION-PADDING-001") == "UNVERIFIED"
    assert "does not take `padding`" in claims["FALSIFY-ATTENTION-PADDING-001"]["reason"]
    assert set(found) == {*TRITON, "SOFTMAX-001", "SWIGLU-001", "ATTENTION-WINDOW-001"}
    assert set(found.values()) <= SURVIVED, found
    for right, wrong in TRITON.values():
        broken(folder / "examples" / "triton_kernels.py", right, wrong)
    code, claims = triton(folder, *TRITON)
    assert code == 1
    assert verdicts(claims) == dict.fromkeys(TRITON, "FALSIFIED")


@needs_triton
def test_triton_on_a_cpu_without_its_interpreter_is_no_survivor(tmp_path: Path) -> None:
    code, claims = triton(house(tmp_path), "RMSNORM-EPS-001", interpret=False)
    assert code == 1
    assert verdicts(claims) == {"RMSNORM-EPS-001": "ERROR"}
