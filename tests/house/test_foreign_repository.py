"""A user's repository with packages of our names works with the wheel installed, whichever comes first on the path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.case import Case
from harness.falsifiers.baselines import checkpoints
from harness.falsifiers.inputs.exported import build as tiny_model
from tests.support.foreign_repository import BY_PATH, DOTTED, build
from tests.support.repository import WITHOUT_TORCH

ORDERS = ("harness first", "theirs first", "theirs nowhere")
"""How PYTHONPATH is set; the working folder is always theirs."""
ONCE = (("console", "harness first"), ("module", "theirs first"))
"""Where every command and every kind of candidate is tried; elsewhere `validate` and `run` are."""
WAYS = (*ONCE, ("console", "theirs first"), ("console", "theirs nowhere"))
"""Every path there is: `python -m` puts the working folder, theirs, before PYTHONPATH, in whatever order that is."""
CANDIDATES = ("candidates.kernel:Kernel", "candidates/kernel.py:Kernel", "candidates/kernel.py")


class Repository:
    """The repository, and Harness as one of the ways starts it there."""

    def __init__(self, folder: Path, site: Path, order: str, *, torch: bool = False) -> None:
        """Without torch, as many users have it, a run starts in a second instead of five."""
        self.folder = build(folder)
        self.site = site
        paths = {"harness first": [site, folder], "theirs first": [folder, site], "theirs nowhere": [site]}[order]
        paths = paths if torch else [WITHOUT_TORCH, *paths]
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, way: str, *words: str) -> subprocess.CompletedProcess[str]:
        """`console` is the script that pip wrote for the wheel, `module` is `python -m harness`, else a program."""
        script = {"console": self.site / "bin" / "harness", "pytest": Path(sys.executable).with_name("pytest")}
        program = ["-m", "harness"] if way == "module" else [str(script[way])]
        command = [sys.executable, *program, *words]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def run(self, way: str, *words: str, code: int = 0) -> str:
        """What it says, if it ends with `code`."""
        done = self.start(way, *words)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def verdicts(self, way: str, *words: str, code: int = 0) -> tuple[dict[str, str], Path]:
        """Claim -> verdict of a run, and its evidence."""
        done = self.start(way, "run", *words, "--device", "cpu", "--json")
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout)
        seen = {claim["id"]: claim["verdict"] for claim in found["claims"] if claim["seconds"]}
        return seen, self.folder / found["evidence"]


@pytest.mark.sample(2)
@pytest.mark.parametrize(("way", "order"), WAYS)
def test_their_contract_runs_on_their_packages(installed: Path, tmp_path: Path, way: str, order: str) -> None:
    repository = Repository(tmp_path / "repository", installed, order)
    both = {DOTTED: "DISCHARGED", BY_PATH: "DISCHARGED"}
    assert "0 errors" in repository.run(way, "validate", "contracts")
    everything = (way, order) in ONCE
    for candidate in CANDIDATES if everything else CANDIDATES[:1]:
        found, evidence = repository.verdicts(way, "contracts/", "--candidate", candidate)
        assert found == both, candidate
    if not everything:
        return
    repository.run(way, "verify", str(evidence))
    repository.run(way, "gate", str(evidence), "--target", "doubling", "--candidate", candidate)
    repository.run(way, "report", str(evidence), "--out", "page")
    shown = repository.run(way, "mutants", "contracts")
    assert "tripled" in shown
    assert "0 alive" in shown


@pytest.mark.sample(1)
@pytest.mark.parametrize(("way", "order"), ONCE)
def test_their_failure_is_found_and_replayed(installed: Path, tmp_path: Path, way: str, order: str) -> None:
    repository = Repository(tmp_path / "repository", installed, order)
    found, evidence = repository.verdicts(way, "contracts/", "--candidate", "candidates.wrong:Kernel", code=1)
    assert found == {DOTTED: "FALSIFIED", BY_PATH: "FALSIFIED"}
    for claim in found:
        words = ["replay", str(evidence / "claims" / claim), "--candidate", "candidates.wrong:Kernel"]
        assert "the same bytes as recorded" in repository.run(way, *words, code=1)


@pytest.mark.sample(1)
@pytest.mark.parametrize(("way", "order"), ONCE)
def test_our_own_contracts_and_commands_use_ours(installed: Path, tmp_path: Path, way: str, order: str) -> None:
    repository = Repository(tmp_path / "repository", installed, order, torch=True)
    commands_use_ours(repository, way)
    claims_use_ours(repository, way)


def claims_use_ours(repository: Repository, way: str) -> None:
    """Two built-in claims on the built-in candidate."""
    found, _ = repository.verdicts(way, "builtin:ops", "-k", "softmax-state or silu-backward")
    assert len(found) == 2
    assert set(found.values()) <= {"PARTIAL", "DISCHARGED"}, found


def commands_use_ours(repository: Repository, way: str) -> None:
    config, weights = tiny_model(Case(dtype="float32", seed=1), "qwen2")
    checkpoints.write_folder(repository.folder / "tiny", config, weights)
    repository.run(way, "export", "tiny", "tiny.gguf", "--no-tokenizer")
    assert json.loads(repository.run(way, "inspect", "tiny.gguf", "--json"))["format"] == "GGUF 3"
    repository.run(way, "inspect", "tiny")
    repository.run(way, "validate", "builtin:")


@pytest.mark.sample(1)
@pytest.mark.parametrize("order", ORDERS)
def test_pytest_runs_their_contract_beside_their_tests(installed: Path, tmp_path: Path, order: str) -> None:
    repository = Repository(tmp_path / "repository", installed, order)
    asked = ["contracts", "tests", "--harness-candidate", "candidates.kernel:Kernel", "--harness-device", "cpu"]
    said = repository.run("pytest", *asked, "-p", "no:cacheprovider")
    assert "3 passed" in said
    assert "2 DISCHARGED" in said
    (evidence,) = (each for each in (repository.folder / "evidence").iterdir() if each.is_dir())
    repository.run("console", "verify", str(evidence))


def test_what_is_not_theirs_is_missing_in_one_line(installed: Path, tmp_path: Path) -> None:
    """A name that Harness has and their package lacks is missing: ours never answers for it."""
    repository = Repository(tmp_path / "repository", installed, "harness first")
    contract = repository.folder / "contracts" / "mine.yaml"
    text = contract.read_text()
    for name, line in (
        ("falsifiers.training.loss_scale:check", "no module 'training' in falsifiers"),
        ("falsifiers.mine:parity", "has no 'parity'"),
        ("elsewhere.mine:check", "no package 'elsewhere' on the path"),
    ):
        contract.write_text(text.replace("falsifiers.mine:check", name))
        said = repository.run("console", "validate", "contracts", code=2)
        assert line in said
    contract.write_text(text)
    for candidate, line in (
        ("candidates.torch_sdpa:Kernel", "No module named 'candidates.torch_sdpa'"),
        ("candidates.kernel:Kernels", "has no `Kernels`"),
        ("candidates.torch:Kernel", "Harness took theirs for its own: candidates.torch"),
    ):
        done = repository.start("console", "run", "contracts", "--candidate", candidate)
        assert done.returncode == 2
        assert line in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.sample(1)
@pytest.mark.parametrize(("way", "name"), [("console", "yaml"), ("module", "rich")])
def test_a_file_of_theirs_that_hides_a_library_is_told_in_one_line(
    installed: Path, tmp_path: Path, way: str, name: str
) -> None:
    repository = Repository(tmp_path / "repository", installed, "theirs nowhere")
    (repository.folder / f"{name}.py").write_text("WHOSE = 'theirs'\n")
    done = repository.start(way, "run", "contracts", "--candidate", CANDIDATES[0])
    file = repository.folder / f"{name}.py"
    assert done.stderr == f"harness: {file} hides the module `{name}` that Harness needs; rename it\n"
    assert done.returncode == 2


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("file", "planted", "use_ours"),
    [
        ("falsifiers/ops/__init__.py", "import reference", claims_use_ours),
        ("reference/ops/activations.py", "import models.cache", claims_use_ours),
        (
            "formats/inspection.py",
            "from importlib import import_module\nimport_module('formats.errors')",
            commands_use_ours,
        ),
        ("commands/inspect.py", "import formats", commands_use_ours),
    ],
)
def test_an_import_by_a_top_level_name_of_ours_is_seen(
    installed: Path, tmp_path: Path, file: str, planted: str, use_ours: Callable[[Repository, str], None]
) -> None:
    """The tests above fail on a wheel in which a file of ours imports what is theirs."""
    site = Path(shutil.copytree(installed, tmp_path / "site"))
    path = site / "harness" / file
    future, text = "from __future__ import annotations\n", path.read_text()
    assert future in text
    path.write_text(text.replace(future, f"{future}{planted}\n", 1))
    repository = Repository(tmp_path / "repository", site, "harness first", torch=True)
    with pytest.raises(AssertionError, match="Harness took theirs for its own"):
        use_ours(repository, "module")
