"""ci/: both files are what GitHub and GitLab take, and their shell is run for real on a small contract."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.commands.main import parser
from harness.evidence import store
from harness.falsifiers.itself.edits import DOUBLES, forge
from tests.support.repository import NUMPY_ALONE, ROOT
from tests.support.second_host import laboratory

ACTION = yaml.safe_load((ROOT / "ci" / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "ci" / "gitlab-ci.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]


@pytest.mark.parametrize(
    ("schema", "name"), [("vendor.github-actions", "action.yml"), ("vendor.gitlab-ci", "gitlab-ci.yml")]
)
def test_the_files_keep_to_the_published_schemas(schema, name, tmp_path):
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", schema]
    done = subprocess.run([*command, ROOT / "ci" / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / name
    broken.write_text((ROOT / "ci" / name).read_text().replace("runs:", "rnus:").replace("artifacts:", "artefacts:"))
    assert subprocess.run([*command, broken], capture_output=True, check=False).returncode == 1


def test_inputs_are_declared_and_used():
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])
    assert all(each["description"] and "default" in each for each in ACTION["inputs"].values())


def test_no_input_is_pasted_into_a_script():
    for step in STEPS:
        assert "${{" not in step.get("run", "")


def test_what_is_used_is_pinned_and_ids_exist():
    for step in STEPS:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+\.\d+\.\d+", step["uses"])
    ids = {step["id"] for step in STEPS if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)\.", json.dumps(ACTION))) == ids


def test_the_default_extras_exist():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = ACTION["inputs"]["extras"]["default"].split(",")
    wanted += re.fullmatch(r"harness\[(.+)\]", GITLAB["variables"]["HARNESS_PACKAGE"])[1].split(",")
    assert set(wanted) <= set(extras)


class Runner:
    """A machine that looks like a CI runner: `harness` and `python` on the PATH, each call noted."""

    def __init__(self, folder):
        self.folder = laboratory(folder)
        self.bin, self.calls = folder / "bin", folder / "calls.jsonl"
        self.bin.mkdir()
        note = 'import json, sys; print(json.dumps(sys.argv[1:]), file=open(sys.argv.pop(1), "a"))'
        for name, then in (("harness", f'exec "{sys.executable}" -m harness "$@"'), ("python", "")):
            noted = shlex.join([sys.executable, "-c", note, str(self.calls), name])
            (self.bin / name).write_text(f'#!/bin/sh\n{noted} "$@"\n{then}\n')
            (self.bin / name).chmod(0o755)

    def shell(self, script, **given):
        """The script's exit code and what it said."""
        file = self.folder / "script.sh"
        file.write_text(script)
        env = {**os.environ, **given, **NUMPY_ALONE, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            [*SHELL, file], cwd=self.folder, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def said(self):
        """The words of every call so far."""
        return [json.loads(line)[2:] for line in self.calls.read_text().splitlines()] if self.calls.exists() else []


class Action:
    """The composite action's run-steps, as GitHub would run them."""

    def __init__(self, runner, **inputs):
        self.runner, self.said = runner, ""
        known = {f"inputs.{name}": each["default"] for name, each in ACTION["inputs"].items()}
        self.known = known | {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        self.known["github.action_path"] = str(ROOT / "ci")
        self.files = {
            name: runner.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "RUNNER_TEMP")
        }
        self.files["RUNNER_TEMP"].mkdir(exist_ok=True)

    def text(self, template):
        """A template with its expressions replaced; `a || b` is the first that is not empty."""

        def value(found):
            return next((v for part in found[1].split("||") if (v := self.known.get(part.strip(), ""))), "")

        return re.sub(r"\$\{\{(.+?)\}\}", value, template)

    def wanted(self, step):
        """Whether a run-step's `if` holds while nothing failed."""
        if "if" not in step:
            return True
        name = re.fullmatch(r"(inputs\.[\w-]+) != ''", step["if"])[1]
        return self.known[name] != ""

    def run(self):
        """The job's exit code: of the first step that fails, else 0."""
        for step in STEPS:
            if "run" not in step or not self.wanted(step):
                continue
            assert step["shell"] == "bash"
            self.files["GITHUB_OUTPUT"].write_text("")
            env = {name: self.text(value) for name, value in step.get("env", {}).items()}
            env |= {name: str(path) for name, path in self.files.items()} | {"GITHUB_ACTIONS": "true"}
            code, said = self.runner.shell(step["run"], **env)
            self.said += said
            for line in self.files["GITHUB_OUTPUT"].read_text().splitlines():
                name, value = line.split("=", 1)
                self.known[f"steps.{step['id']}.outputs.{name}"] = value
            if code:
                return code
        return 0

    @property
    def output(self):
        """The action's own output."""
        return self.text(ACTION["outputs"]["exit-code"]["value"])


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


GIVEN = {"candidate": "good.py", "device": "cpu"}


@pytest.mark.sample(0)
def test_the_action_runs_reports_and_gates(runner):
    action = Action(runner, **GIVEN, target="doubling", min_ship="60", max_age="1h", args='-k "doubles or slowly"')
    assert action.run() == 0, action.said
    assert action.output == "0"
    run = store.sealed(runner.folder / "evidence")
    install, *calls = runner.said()
    assert install[:4] == ["-m", "pip", "install", "--constraint"]
    assert Path(install[4]).is_file()
    assert install[5] == f"{ROOT / 'ci'}/..[torch,hf]"
    words = ["contracts/", "-k", "doubles or slowly", "--candidate", "good.py", "--device", "cpu"]
    where, here = f"evidence/{run.name}", ["--contracts", "contracts/", "--candidate", "good.py"]
    assert calls == [
        ["run", *words, "--evidence", "evidence"],
        ["report", where, "--out", "report"],
        ["gate", where, "--target", "doubling", *here, "--min-ship", "60", "--max-age", "1h"],
    ]
    for call in calls:
        parser().parse_args(call)
    assert {"report.md", "junit.xml", "harness.sarif"} <= {path.name for path in (runner.folder / "report").iterdir()}
    pages = action.files["GITHUB_STEP_SUMMARY"].read_text()
    assert "## Harness: 1 PARTIAL, 1 DISCHARGED" in pages
    assert "## Gate doubling: OPEN, 62.5 %" in pages

    # Then the GPU box's evidence arrives, and nothing is run again.
    forge(run, runner.folder / "evidence", "gpu", keep=lambda claim: claim == DOUBLES)
    shutil.move(runner.folder / "evidence" / "gpu", runner.folder / "evidence" / "box" / "evidence" / "gpu")
    merging = Action(runner, paths="", target="doubling")
    assert merging.run() == 0, merging.said
    assert "gate doubling: OPEN, 100 %" in merging.said

    assert Action(runner, paths="", target="doubling", evidence=where).run() == 3
    typo = Action(runner, paths="", target="doublign")
    assert typo.run() == 2
    assert "did you mean 'doubling'?" in typo.said


def test_the_action_gates_what_it_is_told_and_nothing_else(runner):
    assert Action(runner, **GIVEN).run() == 0
    run = store.sealed(runner.folder / "evidence")
    forge(run, runner.folder / "evidence", "gpu", keep=lambda claim: claim == DOUBLES)
    told = {"paths": "", "target": "doubling", "contracts": "contracts/doubling.yaml contracts/slow.yaml"}
    assert (right := Action(runner, **told, candidate="good.py")).run() == 0, right.said
    here = "--contracts contracts/doubling.yaml --contracts contracts/slow.yaml --candidate good.py"
    assert runner.said()[-1][-6:] == here.split()
    assert "candidate  good.py, SHA-256 " in right.files["GITHUB_STEP_SUMMARY"].read_text()
    assert Action(runner, **told, candidate="torch").run() == 3
    (runner.folder / "good.py").unlink()
    assert Action(runner, **told, candidate="good.py").run() == 3
    assert Action(runner, **told, candidate="good.py", trust_missing="true").run() == 0


def test_a_red_run_is_reported_and_annotated_before_it_fails_the_job(runner):
    (runner.folder / "bad.py").write_text("def double(x):\n    return x * 2.001\n")
    given = {**GIVEN, "candidate": "bad.py", "args": "-k doubles"}
    action = Action(runner, **given)
    assert action.run() == 1
    assert action.output == "1"
    assert f"::error file=contracts/doubling.yaml,line=4,title=FALSIFIED {DOUBLES}::" in action.said
    assert (runner.folder / "report" / "junit.xml").is_file()
    gated = Action(runner, **{**given, "paths": ""}, target="doubling", min_ship="1")
    assert gated.run() == 1
    assert "## Gate doubling: CLOSED" in gated.files["GITHUB_STEP_SUMMARY"].read_text()


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({"paths": "contracts/ nowhere/"}, 2, "nowhere"),
        ({"args": '-k "doubles'}, 1, "unmatched double quote"),
        ({"args": "-k $(touch planted) --seed x"}, 2, "--seed"),
        ({"paths": ""}, 2, "::error::no sealed run below evidence"),
    ],
)
def test_a_mistake_in_the_workflow_fails_at_once(runner, inputs, code, words):
    (runner.folder / "evidence").mkdir()
    action = Action(runner, **{**GIVEN, **inputs})
    assert action.run() == code
    assert words in action.said
    assert ("no sealed run" in action.said) == (inputs == {"paths": ""})  # the others end before the report
    assert not (runner.folder / "planted").exists()
    assert not (runner.folder / "report").exists()


def _script(job, part):
    """The lines of a GitLab job's script, those of the job it extends included."""
    while part not in GITLAB[job]:
        job = GITLAB[job]["extends"]
    return "\n".join(GITLAB[job][part])


def _variables(job, **given):
    return {**GITLAB["variables"], **GITLAB[job].get("variables", {}), "CI_JOB_NAME_SLUG": job, **given}


@pytest.mark.sample(0)
def test_the_gitlab_jobs_run_and_gate(runner):
    given = {"HARNESS_CANDIDATE": "good.py", "HARNESS_TARGET": "doubling", "HARNESS_SELECT": "doubles or slowly"}
    code, said = runner.shell(_script("harness-cpu", "before_script"), **_variables("harness-cpu"))
    assert (code, runner.said()) == (0, [["-m", "pip", "install", "harness[torch,hf]"]]), said
    code, said = runner.shell(_script("harness-cpu", "script"), **_variables("harness-cpu", **given))
    assert code == 0, said
    assert (runner.folder / "report" / "harness-cpu.xml").is_file()
    on_cpu = store.sealed(runner.folder / "evidence")
    gate = _script("harness-gate", "script")
    assert runner.shell(gate, **_variables("harness-gate", **given))[0] == 3
    assert runner.shell(gate, **_variables("harness-gate", **given, HARNESS_MIN_SHIP="62.5"))[0] == 0
    code, said = runner.shell(_script("harness-gpu", "script"), **_variables("harness-gpu", **given))
    assert code == 3, said  # no such device here: UNVERIFIED is no success
    forge(on_cpu, runner.folder / "evidence", "gpu", keep=lambda claim: claim == DOUBLES)  # neither run is enough
    code, said = runner.shell(gate, **_variables("harness-gate", **given))
    assert code == 0, said
    assert "gate doubling: OPEN, 100 %" in said
    assert runner.shell(gate, **_variables("harness-gate", **given | {"HARNESS_CANDIDATE": "torch"}))[0] == 3
    (runner.folder / "good.py").unlink()
    assert runner.shell(gate, **_variables("harness-gate", **given))[0] == 3
    assert runner.shell(gate, **_variables("harness-gate", **given, HARNESS_TRUST_MISSING="true"))[0] == 0
    assert (runner.folder / "report" / "junit.xml").is_file()
    for call in runner.said()[1:]:
        parser().parse_args(call)


def test_gitlab_keeps_what_the_jobs_write():
    for job in (".harness-run", "harness-gate"):
        artifacts = GITLAB[job]["artifacts"]
        assert (artifacts["when"], artifacts["paths"]) == ("always", ["evidence/", "report/"])
    assert GITLAB[".harness-run"]["allow_failure"] == {"exit_codes": [1, 3]}
    names = set(re.findall(r"\$\{?(HARNESS_\w+)", json.dumps(GITLAB)))
    assert names == {*GITLAB["variables"], "HARNESS_DEVICE"}


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL)


def test_the_page_uses_inputs_variables_and_commands_that_exist():
    (line,) = [line for block in _blocks("console") for line in block.splitlines()]
    assert parser().parse_args(shlex.split(line)[1:]).command == "gate"
    workflows = [yaml.safe_load(block) for block in _blocks("yaml")]
    steps = [step for each in workflows for job in each.get("jobs", {}).values() for step in job["steps"]]
    ours = [step["with"] for step in steps if step["uses"] == "OWNER/harness/ci@TAG"]
    assert len(ours) == 4
    assert set().union(*ours) <= set(ACTION["inputs"])
    assert all(re.search(r"@(TAG|v\d+\.\d+\.\d+)$", step["uses"]) for step in steps)
    (gitlab,) = [each["variables"] for each in workflows if "variables" in each]
    assert set(gitlab) <= set(GITLAB["variables"])
