"""Bad and hostile answers of `--candidate exec:COMMAND`: one line that says what happened, and the verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.subject import candidate
from harness.subject.boundary import Unsupported
from tests.support.cpu_boundary import boundary
from tests.support.exec_program import WRITE, program, relu
from tests.support.laboratory import changed, examine, shipped

ENDINGS = [
    ("nothing written", "pass", "BadAnswer: .*program.py. exited with 0 on `relu`, but it wrote no outputs.safe"),
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
    subject = boundary(candidate.load(program(tmp_path, ""), tmp_path))
    assert not subject.offers("own_kind")
    with pytest.raises(Unsupported, match=r"candidate has no `train`"):
        subject.train()
    with pytest.raises(Exception, match=r"has no `relu` with argument 'slope'") as found:
        subject.relu(np.ones(2, np.float32), slope=1)
    assert getattr(found.value, "unsupported", False)
