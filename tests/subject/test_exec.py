"""`--candidate exec:COMMAND`: the protocol as docs/exec.md has it, and hostile answers as one line of ERROR."""

from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

from harness.candidates.process import calls
from harness.dtypes import round_to
from harness.errors import UserError
from harness.falsifiers import ops
from harness.falsifiers.ops import gradients
from harness.subject import candidate
from harness.subject.boundary import Boundary, Trace, Unsupported
from harness.subject.identity import identity
from tests.support.laboratory import ROOT, changed, examine, shipped

RECORDER = """
import json, shutil, sys
from pathlib import Path
folder = Path(sys.argv[-1])
shutil.copytree(folder, "seen", dirs_exist_ok=True)
shutil.copy("answer", folder / "outputs.safetensors")
"""
WRITE = """
import sys, os, struct, json
from pathlib import Path
folder = Path(sys.argv[-1])
out = folder / "outputs.safetensors"
request = json.loads((folder / "request.json").read_text())
source = (folder / "inputs.safetensors").read_bytes()
length, = struct.unpack("<Q", source[:8])
entry = json.loads(source[8:8 + length])["x"]
def write(tensors, data, size=None):
    header = json.dumps(tensors).encode()
    out.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header + data)
begin, end = entry["data_offsets"]
x = source[8 + length + begin:8 + length + end]
right = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [0, len(x)]}
"""


def program(folder: Path, source: str, name: str = "program.py") -> str:
    """A Python program as a user would name it on the command line."""
    (folder / name).write_text(source)
    return f"exec:{sys.executable} {name}"


def packed(header: str, data: bytes) -> bytes:
    """A safetensors file, by hand."""
    return len(header).to_bytes(8, "little") + header.encode() + data


def boundary(spec: str, folder: Path, dtype: str = "float32") -> Boundary:
    return Boundary(candidate.load(spec, folder), role="candidate", dtype=dtype, device="cpu", trace=Trace())


def relu(spec: str, folder: Path, dtype: str = "float32") -> np.ndarray:
    out: np.ndarray = boundary(spec, folder, dtype).relu(np.ones((2, 3), np.float32))
    return out


# -- what the program is handed ----------------------------------------------------------------------------------


def test_request_is_what_the_document_says_to_the_byte(tmp_path: Path) -> None:
    spec = program(tmp_path, RECORDER)
    x, weight = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
    (tmp_path / "answer").write_bytes(
        packed('{"out":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}} ', x.tobytes())
    )
    subject = boundary(spec, tmp_path)
    assert np.array_equal(subject.rmsnorm(x, weight, 1e-6), x)
    page = (ROOT / "docs" / "exec.md").read_text()
    assert (tmp_path / "seen" / "request.json").read_text() in page
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["inputs.safetensors", "request.json"]
    raw = (tmp_path / "seen" / "inputs.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert header == {
        "weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [12, 36]},
    }
    assert raw[8 + size :] == weight.tobytes() + x.tobytes()
    assert b'"x":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}' in raw


@pytest.mark.parametrize(
    ("dtype", "kind"), [("float64", "F64"), ("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")]
)
def test_values_of_every_dtype_arrive_and_come_back_unchanged(tmp_path: Path, dtype: str, kind: str) -> None:
    spec = program(tmp_path, WRITE + 'write({"out": right}, x)\nPath("kind").write_text(entry["dtype"])\n')
    x = round_to(np.random.default_rng(3).standard_normal((5, 7)), dtype)
    got = boundary(spec, tmp_path, dtype).relu(x)
    assert (tmp_path / "kind").read_text() == kind
    assert got.dtype == x.dtype
    assert np.array_equal(got, x)


def test_a_model_s_request_is_a_checkpoint_folder(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(packed('{"out":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}', b"\7"))
    subject = boundary(program(tmp_path, RECORDER), tmp_path, "bfloat16")
    config, weight = {"model_type": "qwen2", "rms_norm_eps": 1e-6}, round_to(np.linspace(0, 1, 6), "bfloat16")
    assert subject.load(config, {"model.norm.weight": weight}).logits(np.arange(4)[None]).tolist() == [7]
    assert json.loads((tmp_path / "seen" / "config.json").read_text()) == config
    stored = load_file(tmp_path / "seen" / "model.safetensors")["model.norm.weight"]
    assert stored.dtype == ml_dtypes.bfloat16
    assert np.array_equal(stored.astype(np.float32), weight)
    request = json.loads((tmp_path / "seen" / "request.json").read_text())
    assert (request["call"], request["arguments"]) == ("logits", {"tokens": {"tensor": "tokens"}})


def test_gradients_come_back_by_name_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    source = WRITE + "n = len(x)\nwrite({'dweight': {**right, 'data_offsets': [n, 2 * n]}, 'dx': right}, x + bytes(n))"
    x = np.ones((2, 2), np.float32)
    got = boundary(program(tmp_path, source), tmp_path).linear_backward(x, 3 * x, x)
    assert [g.tolist() for g in got] == [(3 * x).tolist(), (0 * x).tolist()]


def test_the_calls_are_the_ops_of_the_contracts_with_the_reference_s_own_names() -> None:
    assert set(calls.OPS) == set(ops.INPUTS)
    assert {op for op in calls.OPS if calls.gradients(op)} == set(gradients.INPUTS)
    page = (ROOT / "docs" / "exec.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:`[\w*]+` ?)+)\| `reference", page, re.MULTILINE))
    assert {op: text.replace("`", "").strip() for op, text in rows.items()} == calls.OPS
    for op, module in re.findall(r"^\| `(\w+)` \|.*\| `(reference/\w+)\.py` \|", page, re.MULTILINE):
        forward = getattr(import_module(module.replace("/", ".")), f"{op}_forward")
        assert calls.arguments(op) == list(inspect.signature(forward).parameters), op
    assert calls.arguments("rmsnorm_backward") == ["dout", "x", "weight", "eps"]
    assert [calls.arguments(name) for name in ("top_k_backward", "own_kind", "train")] == [None] * 3


# -- how it ends -------------------------------------------------------------------------------------------------

ENDINGS = [
    ("nothing written", "pass", r"BadAnswer: `.*program.py` ended well on `relu`, but it left no outputs.safetensors"),
    ("exit code", "print('bad day', file=sys.stderr); sys.exit(9)", "ProgramRefused: .*exit code 9 on `relu`: bad day"),
    ("segfault", "os.kill(os.getpid(), 11)", r"ProgramFailed: .*killed by signal 11 \(SIGSEGV\) on `relu`"),
    ("wrong name", 'write({"y": right}, x)', "holds y; expected out"),
    ("one too many", 'write({"out": right, "y": {**right, "data_offsets": [24, 24], "shape": [0]}}, x)', "out, y;"),
    ("cut short", 'write({"out": right}, x[:-1])', "'out' ends at data offset 24, but the file holds 23; it was cut"),
    ("bytes left over", 'write({"out": right}, x + b"12")', "the tensors end at data offset 24"),
    ("huge header", 'write({"out": right}, x, size=1 << 62)', "the header"),
    ("not JSON", 'out.write_bytes(struct.pack("<Q", 4) + b"{{{{")', "the header is not JSON"),
    ("empty file", 'out.write_bytes(b"")', "outputs.safetensors"),
    ("huge shape", 'write({"out": {**right, "shape": [1 << 40, 1 << 20]}}, x)', "takes 24 bytes, but F32 of shape"),
    ("negative shape", 'write({"out": {**right, "shape": [-2, -3]}}, x)', "shape that is not up to 8 whole numbers"),
    ("unknown type", 'write({"out": {**right, "dtype": "F8_E4M3", "shape": [24]}}, x)', "is F8_E4M3; expected one of"),
    ("a fifo", "os.mkfifo(out)", "not a regular file"),
    ("a folder", "out.mkdir()", "not a regular file"),
    ("a device", "out.symlink_to('/dev/zero')", "not a regular file"),
    ("control characters", r"sys.exit('\x1b[31mred\x07')", r"exit code 1 on `relu`: \?\[31mred\?"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "source", "words"), ENDINGS, ids=[row[0] for row in ENDINGS])
def test_a_bad_ending_is_one_line_that_says_what_happened(tmp_path: Path, what: str, source: str, words: str) -> None:
    with pytest.raises(Exception, match=r".") as found:
        relu(program(tmp_path, WRITE + source), tmp_path)
    text = f"{type(found.value).__name__}: {found.value}"
    assert re.search(words, text), text
    assert text.isprintable()
    assert not getattr(found.value, "unsupported", False)


def claim_on(spec: str, folder: Path, name: str = "FALSIFY-RELU-001", **fields: Any) -> Any:
    claim, mutants = shipped(name)
    return examine(changed(claim, examples=2, **fields), mutants, folder, spec).judgement


def test_a_crash_is_that_claim_s_error(tmp_path: Path) -> None:
    found = claim_on(program(tmp_path, WRITE + "os.abort()"), tmp_path)
    assert found.verdict.value == "ERROR"
    assert "killed by signal 6 (SIGABRT) on `relu`" in found.reason


@pytest.mark.parametrize(
    ("source", "measure"),
    [
        ('write({"out": {**right, "shape": right["shape"][::-1]}}, x)', "shape"),
        ('write({"out": {**right, "dtype": "I32" if entry["dtype"] == "F32" else "I16"}}, x)', "dtype"),
        ('write({"out": right}, b"\\xff" * len(x))', "finite"),
    ],
)
def test_a_well_formed_wrong_answer_breaks_the_limit_of_its_name(tmp_path: Path, source: str, measure: str) -> None:
    found = claim_on(program(tmp_path, WRITE + source), tmp_path)
    assert found.verdict.value == "FALSIFIED"
    assert measure in {row["measure"] for row in found.violated}, found.violated


def test_exit_code_77_is_unverified_with_the_program_s_reason(tmp_path: Path) -> None:
    found = claim_on(program(tmp_path, "import sys\nprint('no relu in here', file=sys.stderr)\nsys.exit(77)"), tmp_path)
    assert found.verdict.value == "UNVERIFIED"
    assert found.reason.endswith("has no `relu`: no relu in here")


def test_a_refusal_of_bad_input_is_measured_as_one(tmp_path: Path) -> None:
    refuses = (
        "import sys\nimport ml_dtypes, numpy as np\nfrom pathlib import Path\n"
        "from safetensors.numpy import load_file, save_file\n"
        "folder = Path(sys.argv[-1])\nt = load_file(folder / 'inputs.safetensors')\n"
        "logits, targets = t['logits'], t.get('targets', t.get('labels'))\n"
        "n = logits.shape[-1] if 'targets' in t else None\n"
        "counts = [len(a) for k, a in t.items() if k != 'logits' or n]\n"
        "if len(set(counts + [len(logits)])) > 1: sys.exit(f'counts {counts}')\n"
        "wrong = [int(i) for i in targets if n and not 0 <= i < n]\n"
        "if wrong: sys.exit(f'target {wrong[0]}')\n"
        "save_file({'out': np.zeros((), logits.dtype)}, folder / 'outputs.safetensors')\n"
    )
    claims = shipped("FALSIFY-LOSS-REFUSALS-001")
    found = examine(*claims, tmp_path, program(tmp_path, refuses)).judgement
    assert found.verdict.value == "PARTIAL", found
    assert found.measurements["taken"] == {"bfloat16": 0.0, "float32": 0.0}


def test_what_is_no_call_is_not_there_and_a_foreign_argument_is_said(tmp_path: Path) -> None:
    subject = boundary(program(tmp_path, ""), tmp_path)
    assert not subject.offers("own_kind")
    with pytest.raises(Unsupported, match=r"candidate has no `train`"):
        subject.train()
    with pytest.raises(Exception, match=r"is not asked `relu` with .'slope'.") as found:
        subject.relu(np.ones(2, np.float32), slope=1)
    assert getattr(found.value, "unsupported", False)


# -- processes ---------------------------------------------------------------------------------------------------

RELU = """
import json, os, sys
from pathlib import Path
import ml_dtypes, numpy as np
from safetensors.numpy import load_file, save_file
folder = Path(sys.argv[-1])
if json.loads((folder / "request.json").read_text())["call"] != "relu":
    os.abort()
x = load_file(folder / "inputs.safetensors")["x"]
save_file({"out": np.maximum(x, np.zeros((), x.dtype))}, folder / "outputs.safetensors")
"""
SPAWNS = """
import subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
Path("child").write_text(str(child.pid))
"""
LIMITED = """
metadata: {id: limited, version: 1.0.0, title: t, description: d}
falsification_tests:
- id: FALSIFY-LIMITED-001
  rule: r
  prediction: p
  falsifier: harness.falsifiers.ops:parity
  baseline: harness.falsifiers.baselines.torch_ops
  given: {op: relu, length: 3, std: 1.0, dtype: float32}
  accept: {rel_l2_err: {le: 1.0e-6, why: w}}
  mutants: [harness.falsifiers.ops.mutants.activations.relu:clipped_at_six]
  budget_s: 1
  ship_blocking: false
  if_fails: i
"""


def gone(pid: int) -> bool:
    """Whether a process has ended, within two seconds."""
    for _ in range(40):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_EXEC_SECONDS", "1.5")
    spec = program(tmp_path, SPAWNS + "time.sleep(600)")
    with pytest.raises(Exception, match=r"did not answer `relu` within 1\.5 s"):
        relu(spec, tmp_path)
    assert gone(int((tmp_path / "child").read_text()))


def test_a_child_left_behind_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    started = time.monotonic()
    assert relu(program(tmp_path, SPAWNS + WRITE + 'write({"out": right}, x)'), tmp_path).tolist() == [[1, 1, 1]] * 2
    assert time.monotonic() - started < 20
    assert gone(int((tmp_path / "child").read_text()))


def test_endless_printing_fills_neither_pipe_nor_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loud = "import sys\nfor i in range(3000):\n    print('x' * 999)\nprint('end of stdout')\n"
    relu(program(tmp_path, loud + WRITE + 'write({"out": right}, x)'), tmp_path)
    said = capfd.readouterr().err
    assert "end of stdout" in said
    assert len(said) < 200_000


def command(tmp_path: Path, spec: str, *more: str) -> list[str]:
    contract = str(ROOT / "contracts" / "ops" / "activations.yaml")
    options = ["-k", "RELU-001 and not leaky", "--device", "cpu", "--evidence", str(tmp_path / "evidence")]
    return [sys.executable, "-m", "harness", "run", contract, *options, "--candidate", spec, *more]


def test_a_killed_run_takes_its_program_along(tmp_path: Path) -> None:
    spec = program(tmp_path, SPAWNS + "Path('self').write_text(str(__import__('os').getpid()))\ntime.sleep(600)")
    with subprocess.Popen(command(tmp_path, spec), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as run:
        try:
            for _ in range(1200):
                if (tmp_path / "self").is_file() and (tmp_path / "self").read_text():
                    break
                time.sleep(0.05)
            pids = [int((tmp_path / name).read_text()) for name in ("self", "child")]
        finally:
            run.send_signal(signal.SIGKILL)
    assert all(gone(pid) for pid in pids)


def test_a_claim_out_of_time_takes_its_program_along(tmp_path: Path) -> None:
    (tmp_path / "contract.yaml").write_text(LIMITED)
    spec = program(tmp_path, SPAWNS + "time.sleep(600)")
    words = [sys.executable, "-m", "harness", "run", "contract.yaml", "--candidate", spec, "--device", "cpu", "--json"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    claim = json.loads(done.stdout)["claims"][0]
    assert (claim["verdict"], done.returncode) == ("ERROR", 1)
    assert "stopped after 10 s" in claim["reason"]
    assert gone(int((tmp_path / "child").read_text()))
    assert not list((tmp_path / "evidence").rglob("scratch"))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_one_claim_s_crash_leaves_the_others_alone_and_no_folder_behind(tmp_path: Path) -> None:
    spec = program(tmp_path, RELU)
    done = subprocess.run(
        command(tmp_path, spec, "-k", "FALSIFY-RELU-001 or FALSIFY-TANH-001", "--json"),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = {c["id"]: c for c in json.loads(done.stdout)["claims"]}
    assert done.returncode == 1
    assert found["FALSIFY-TANH-001"]["verdict"] == "ERROR"
    assert "killed by signal 6 (SIGABRT) on `tanh`" in found["FALSIFY-TANH-001"]["reason"]
    assert found["FALSIFY-RELU-001"]["verdict"] == "PARTIAL", found["FALSIFY-RELU-001"]
    assert not list((tmp_path / "evidence").rglob("scratch"))


# -- the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("exec:", "found no command"),
        ("exec:./nowhere", "found no program ./nowhere"),
        ("exec:no-such-program-anywhere", "found no program no-such"),
        ("exec:python 'open", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_one_is_one_line(tmp_path: Path, spec: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as found:
        candidate.load(spec, tmp_path)
    assert "\n" not in str(found.value)


def test_a_time_limit_that_is_no_number_is_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_EXEC_SECONDS", "soon")
    with pytest.raises(UserError, match="HARNESS_EXEC_SECONDS: found 'soon', expected a positive number"):
        candidate.load(program(tmp_path, ""), tmp_path)


def test_a_program_that_cannot_be_executed_is_that_claim_s_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(Exception, match="did not start: Exec format error"):
        relu("exec:./text", tmp_path)


def test_identity_covers_the_files_on_the_command_line_and_what_a_script_imports(tmp_path: Path) -> None:
    spec = program(tmp_path, "import helper\n")
    helper = tmp_path / "helper.py"
    helper.write_text("import json\n")
    (tmp_path / "other.py").write_text("")
    seen = [identity(spec, tmp_path)["sha256"]]
    for path, text in ((helper, "import math\n"), (tmp_path / "program.py", "import helper \n")):
        path.write_text(text)
        seen.append(identity(spec, tmp_path)["sha256"])
    assert len(set(seen)) == 3
    (tmp_path / "other.py").write_text("1\n")
    assert identity(spec, tmp_path)["sha256"] == seen[-1]
    assert identity("exec:sh -c true", tmp_path)["sha256"]
