"""`harness import`: a hundred contracts of others, nothing lost, nothing green, nothing overwritten."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.commands.main import main
from harness.contract.validate import check
from harness.provable.batch import Batch
from harness.provable.cover import COVER, covered
from harness.provable.entry import entry
from harness.provable.kind import Kind, kind_of
from harness.provable.names import apart, claim_id, contract_id
from tests.support.foreign_contracts import contract, write

RENAMED = {"formula", "test"}
"""Keys whose value has a field of another name here: equations.<name>, unbound (docs/import.md)."""


def scalars(value: Any) -> Counter[str]:
    """Every value and every key of a document, with how often it is there."""
    found: Counter[str] = Counter()
    todo = [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict):
            found.update(f"{key}:" for key in each if key not in RENAMED)
            todo += each.values()
        elif isinstance(each, list):
            todo += each
        else:
            found[str(each) if each != "" else "null"] += 1
    return found


def as_text(path: Path) -> Any:
    """The file by PyYAML's own loader that reads every scalar as text; none of our code."""
    return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))


def nothing_lost(source: Path, contract: Path) -> Counter[str]:
    """What of the source is not in the contract as often as there; empty if all is."""
    theirs, ours = scalars(as_text(source)), scalars(as_text(contract))
    # A heading that has nothing of its own below it; the key of a test in a map is a value here: id or key.
    lost = theirs - ours - Counter({"metadata:": 1, "equations:": 1})
    spare = ours - theirs
    return Counter({name: n for name, n in lost.items() if not (name[-1:] == ":" and spare[name[:-1] or "null"] >= n)})


def imported(folder: Path, *paths: Path, out: str = "out", more: tuple[str, ...] = ()) -> tuple[int, dict[str, Any]]:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as text:
        code = main(["import", *map(str, paths), "--out", str(folder / out), "--json", *more])
    return code, json.loads(text.getvalue())


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("hundred")
    write(folder / "theirs", 125)
    return folder, *imported(folder, folder / "theirs")


def test_a_hundred_contracts_are_imported_and_valid(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, code, report = hundred
    assert code == 0, report["failed"]
    assert len(report["imported"]) == 125
    checked = check([folder / "out"])
    assert [str(problem) for problem in checked.problems] == []
    assert (checked.files, checked.claims) == (125, report["counts"]["tests"])
    assert len(checked.unbound) == checked.claims > 600
    assert not checked.bindings


def test_every_value_and_key_of_every_source_is_in_its_contract(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, report = hundred
    lost = {each["source"]: nothing_lost(Path(each["source"]), Path(each["contract"])) for each in report["imported"]}
    assert not {file: values for file, values in lost.items() if values}
    # and the measure can fail:
    file = folder / "short.yaml"
    text = Path(report["imported"][0]["contract"]).read_text(encoding="utf-8")
    file.write_text(text.replace("stub_float", "float").replace("drop the last row", "drop"), encoding="utf-8")
    assert nothing_lost(Path(report["imported"][0]["source"]), file)


def test_every_comment_is_kept(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    _, _, report = hundred
    kept = 0
    for each in report["imported"]:
        lines = Path(each["source"]).read_text(encoding="utf-8-sig").splitlines()
        own = [f"{i}: {line}" for i, line in enumerate(lines, 1) if line in ("# a head ─── line", "# a tail")]
        assert as_text(Path(each["contract"]))["imported"].get("comments", "").splitlines() == own
        kept += len(own)
    assert kept > 50


def test_the_same_bytes_whatever_the_order_and_the_folder(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    folder, _, report = hundred
    files = [Path(each["source"]) for each in report["imported"]]
    random.Random(1).shuffle(files)
    imported(folder, *files, out="again")
    for each in report["imported"]:
        assert (folder / "again" / Path(each["contract"]).name).read_bytes() == Path(each["contract"]).read_bytes()


def test_the_share_that_could_run_is_counted_by_test(hundred: tuple[Path, int, dict[str, Any]]) -> None:
    _, _, report = hundred
    kinds = Counter(test["kind"] for each in report["imported"] for test in each["tests"])
    counts = report["counts"]
    assert counts == {"tests": sum(kinds.values()), "bound": 0, **{kind.value: kinds[kind] for kind in Kind}}
    assert report["executable_share"] == round(kinds["command"] / counts["tests"], 4)
    assert min(kinds.values()) > 20


def test_a_folder_of_them_runs_end_to_end_and_nothing_survives(
    hundred: tuple[Path, int, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _, report = hundred
    few = folder / "few"
    few.mkdir()
    for each in report["imported"][:20]:
        (few / Path(each["contract"]).name).write_bytes(Path(each["contract"]).read_bytes())
    assert main(["run", str(few), "--evidence", str(folder / "evidence"), "--json", "-j", "1"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert set(found["counts"]) == {"UNVERIFIED"}
    assert found["counts"]["UNVERIFIED"] == len(found["claims"]) > 90
    assert all(row["reason"].startswith("no falsifier is bound: ") for row in found["claims"])
    assert main(["verify", found["evidence"]]) == 0


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    write(tmp_path / "theirs", 3)
    code = (
        "import sys; from harness.commands.main import main; code = main(sys.argv[1:])\n"
        "heavy = {'numpy', 'torch', 'rich', 'hypothesis'} & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    command = [sys.executable, "-c", code, "import", str(tmp_path / "theirs"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


ONE = "metadata: {version: 1.0.0}\nfalsification_tests:\n- {id: FALSIFY-A-001, rule: r, test: prose here}\n"

BAD = {
    "empty.yaml": ("", "the file is empty"),
    "null.yaml": ("---\n~\n", "the file is empty"),
    "list.yaml": ("- a\n- b\n", "found a list of 2, expected a map"),
    "text.yaml": ("just words\n", "found text, expected a map"),
    "tab.yaml": ("metadata:\n\tid: x\n", "a tab where only spaces may indent"),
    "open.yaml": ("metadata: {id: [a\n", "not YAML"),
    "two.yaml": (ONE + "---\n" + ONE, "2 YAML documents in one file"),
    "none.yaml": ("metadata: {version: 1.0.0}\nbindings: []\n", "found no test"),
    "latin.yaml": (b"metadata: {id: caf\xe9}\n", "byte 0xe9 is not UTF-8"),
    "deep.yaml": ("a: " + "[" * 60 + "]" * 60 + "\n", "nested deeper than 32 levels"),
    "bomb.yaml": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 10)}]\n" for m, n in zip("abcdefgh", "bcdefghi", strict=True)),
        "more than 200,000 values",
    ),
    "loop.yaml": ("a: &a [*a]\n", "the alias *a has no anchor before it"),
    "control.yaml": ("a: \x07\n", "not text"),
    "ours.yaml": (
        "metadata: {id: a, version: 1.0.0}\nfalsification_tests:\n- {id: A-1, falsifier: 'a:b', accept: {}}\n",
        "already is a harness contract",
    ),
}


def test_what_cannot_be_read_is_one_line_and_the_others_are_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "good.yaml").write_text(ONE)
    (tmp_path / "big.yaml").write_text("# " + "x" * (17 << 20))
    files = [*(str(tmp_path / name) for name in BAD), str(tmp_path / "big.yaml"), str(tmp_path / "absent.yaml")]
    assert main(["import", *files, str(tmp_path / "good.yaml"), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == len(BAD) + 2
    for name, (_, message) in {
        **BAD,
        "big.yaml": ("", "expected at most"),
        "absent.yaml": ("", "no such file"),
    }.items():
        line = next(line for line in lines if line.startswith(str(tmp_path / name)))
        assert message in line
        assert len(line) < 400
    assert f"{tmp_path / 'out' / 'good.yaml'}: 1 test: 1 prose" in out
    assert f"1 contracts imported, {len(BAD) + 2} not" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good.yaml"]


WILD = """\
metadata: &m   # where it comes from
  version: 1.10
  author: A
  author: B
  yes: no
  1: one
  ? [a, b]
  : pair
falsification_tests:
- &t
  id: FALSIFY-W-001
  rule: small
  test: |   # words
    proptest
    # of rows
  tolerance: 1e-5
- <<: *t
  id: FALSIFY-W-001
more: {big: 123456789012345678901234567890, inf: .inf, tagged: !mine x, same: *m}
falsification_tests:
- id: FALSIFY-W-002
"""


def test_what_yaml_can_say_and_our_contracts_may_not(tmp_path: Path) -> None:
    (tmp_path / "wild.yaml").write_text(WILD)
    code, report = imported(tmp_path, tmp_path / "wild.yaml")
    assert code == 0, report["failed"]
    data = as_text(tmp_path / "out" / "wild.yaml")
    assert [claim["id"] for claim in data["falsification_tests"]] == [
        "FALSIFY-W-001",
        "FALSIFY-W-001-2",
        "FALSIFY-W-002",
    ]
    assert data["falsification_tests"][1]["imported"] == {"tolerance": "1e-5", "id": "FALSIFY-W-001"}
    assert data["falsification_tests"][1]["unbound"] == "proptest\n# of rows\n"
    theirs = data["imported"]["source"]["metadata"]
    assert (theirs["version"], data["metadata"]["version"]) == ("1.10", "1.10.0")
    assert (theirs["author"], theirs["author (again, line 4)"]) == ("A", "B")
    assert (theirs["yes"], theirs["1"], theirs['["a", "b"]']) == ("no", "one", "pair")
    assert data["imported"]["source"]["more"]["same"] == theirs
    assert data["imported"]["comments"] == "1: # where it comes from\n13: # words\n"
    notes = " / ".join(report["imported"][0]["notes"])
    for word in (
        "'author' is given twice",
        "merge key",
        "alias *m",
        "'!mine'",
        "not a 64-bit integer",
        "'.inf'",
        "1.10.0",
    ):
        assert word in notes
    assert not check([tmp_path / "out"]).problems


def test_an_existing_contract_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    assert imported(tmp_path, tmp_path / "a.yaml")[0] == 0
    target = tmp_path / "out" / "a.yaml"
    target.write_text("mine\n")
    code, report = imported(tmp_path, tmp_path / "a.yaml")
    assert code == 2
    assert "exists and is not changed; --force replaces it" in report["failed"][0]
    assert target.read_text() == "mine\n"
    assert imported(tmp_path, tmp_path / "a.yaml", more=("--force",))[0] == 0
    first = target.read_bytes()
    assert imported(tmp_path, tmp_path / "a.yaml", more=("--force",))[0] == 0
    assert target.read_bytes() == first  # what it replaces is not in its own way
    assert b"id: FALSIFY-A-001" in first


def test_an_id_that_another_file_there_has_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.yaml").write_text("metadata: {id: a, version: 1.0.0}\nfalsification_tests: []\n")
    code, report = imported(tmp_path, tmp_path / "a.yaml", more=("--force",))
    assert code == 2
    assert "its contract id 'a' is already that of" in report["failed"][0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["other.yaml"]


def test_the_source_itself_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    code, report = imported(tmp_path, tmp_path / "a.yaml", out=".", more=("--force",))
    assert code == 2
    assert "would overwrite" in report["failed"][0]
    assert (tmp_path / "a.yaml").read_text() == ONE


def test_files_of_one_id_are_told_apart_by_their_folder_or_named(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(ONE)
    code, report = imported(tmp_path, tmp_path / "x", tmp_path / "y")
    assert code == 0
    assert [each["id"] for each in report["imported"]] == ["x-a", "y-a"]
    assert [each["renamed"] for each in report["imported"]] == [
        {"FALSIFY-A-001": "X-A-FALSIFY-A-001"},
        {"FALSIFY-A-001": "Y-A-FALSIFY-A-001"},
    ]
    assert not check([tmp_path / "out"]).problems
    for name in ("b", "c"):
        (tmp_path / "x" / f"{name}.yaml").write_text("contract: same\n" + ONE)
    code, report = imported(tmp_path, tmp_path / "x" / "b.yaml", tmp_path / "x" / "c.yaml", out="two")
    assert code == 2
    assert report["failed"] == [
        f"{tmp_path / 'x' / 'c.yaml'}: its contract id 'x-same' is that of {tmp_path / 'x' / 'b.yaml'} too; "
        "import it alone, with --out"
    ]


def test_a_second_import_keeps_clear_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    (tmp_path / "b.yaml").write_text(ONE.replace("{version", "{depends_on: [a, nowhere], version"))
    imported(tmp_path, tmp_path / "a.yaml")
    code, report = imported(tmp_path, tmp_path / "b.yaml")
    assert code == 0
    assert report["imported"][0]["renamed"] == {"FALSIFY-A-001": "B-FALSIFY-A-001"}
    assert "depends_on 'nowhere': no such contract is imported or in the folder; kept" in report["imported"][0]["notes"]
    checked = check([tmp_path / "out"])
    assert not checked.problems
    assert [each.depends_on for each in checked.contracts] == [(), ("a",)]
    # Alone too, as pytest collects it: what it depends on lies beside it.
    assert not check([tmp_path / "out" / "b.yaml"]).problems
    (tmp_path / "out" / "a.yaml").unlink()
    assert "no contract 'a'" in str(check([tmp_path / "out" / "b.yaml"]).problems[0])


def test_dependencies_that_go_in_a_circle_are_kept_and_said(tmp_path: Path) -> None:
    for name, need in (("a", "b"), ("b", "a"), ("c", "c")):
        (tmp_path / f"{name}.yaml").write_text(ONE.replace("{version", f"{{depends_on: [{need}], version"))
    code, report = imported(tmp_path, *(tmp_path / f"{name}.yaml" for name in "abc"))
    assert code == 0
    assert not check([tmp_path / "out"]).problems
    assert sum("makes a cycle" in note for each in report["imported"] for note in each["notes"]) == 2
    assert as_text(tmp_path / "out" / "c.yaml")["imported"]["source"]["metadata"]["depends_on"] == ["c"]


def test_an_out_that_is_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(ONE)
    assert main(["import", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "a.yaml")]) == 2
    assert capsys.readouterr().err == f"harness: --out {tmp_path / 'a.yaml'}: is a file, expected a folder\n"


def test_a_terminal_is_not_moved_by_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(ONE + 'kept: 1\n"\\e[31m\\nred": 2\n')
    assert main(["import", str(tmp_path / "a.yaml"), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31m\\nred" in out


@pytest.mark.parametrize(
    ("test", "kind"),
    [
        ("cargo test -p kernels --lib -- one two", "command"),
        ("RUST_LOG=1 cargo nextest run", "command"),
        ("cd crates/a && cargo bench", "command"),
        ("python -m pytest tests/test_a.py", "command"),
        ("pytest", "command"),
        ("kernels.softmax:parity", "command"),
        ("src/kernels/rows.rs::tests::sums", "command"),
        ("bash scripts/check.sh   # cases 1, 2 and the rest", "command"),
        ("# first look\nfound=0\nif grep -rq x docs; then found=1; fi", "command"),
        ("tool --version | grep -q $(git rev-parse HEAD)", "command"),
        (["make test", "pytest -q"], "command"),
        ({"command": "make test", "timeout": "30"}, "command"),
        ("#[test]\nfn sums() {}", "code"),
        ("def test_sum():\n    assert True", "code"),
        ("make sure that rows sum to one", "prose"),
        ("go through every row", "prose"),
        ("python implementation matches the loop", "prose"),
        ("cargo test passes for all kernels", "prose"),
        ("run the tool with --json and without", "prose"),
        ("proptest: rows of 1..128", "prose"),
        ("compare a | b row by row", "prose"),
        (["make test", "and look at it"], "prose"),
        ("", "none"),
        ([], "none"),
    ],
)
def test_what_kind_of_test_it_is(test: Any, kind: str) -> None:
    assert kind_of(test) == kind


def test_an_entry_counts_by_the_best_it_says() -> None:
    prose = {"evidence_required": "someone looks", "harness_discharged_by": ["a.rs::tests::x", "a.rs::tests::y"]}
    found = entry({"id": "GATE-1", "rule": "r", **prose}, "gates")
    assert (found.kind, found.claim["unbound"]) == (Kind.COMMAND, "a.rs::tests::x; a.rs::tests::y")
    assert found.claim["imported"] == prose
    assert entry({"id": "A", "rule": "r"}, "gates").claim["unbound"] == "the source names no test"


def test_ids_are_ours_and_apart() -> None:
    assert contract_id("C-GPU_train v2.yaml") == "c-gpu-train-v2-yaml"
    assert claim_id("7 rows, é") == "T-7-ROWS-E"
    assert claim_id("行") == ""
    assert len(claim_id("x" * 5000)) == len(contract_id("x" * 5000)) == 100
    assert claim_id("x" * 5000) != claim_id("x" * 5001)
    wanted, owners = ["A", "A", "A-2", "B", "B", "C"], ["p", "p", "p", "p", "q", "q"]
    assert apart(wanted, owners, {"C"}) == ["A", "A-3", "A-2", "P-B", "Q-B", "Q-C"]


def test_every_row_of_the_built_in_cover_selects_a_claim() -> None:
    for pattern, folder, select in COVER:
        found = covered(
            [pattern.split("|")[0].replace("-?", "-").replace("(gradient", "gradient").replace("q[48]", "q4")]
        )
        name = f"builtin:{folder} -k {select}"
        if "(" not in pattern:
            assert name in found
        for claims in found.values():
            assert not claims.startswith("0 claims"), (pattern, claims)
    assert list(covered(["softmax-kernel-v1"])) == ["builtin:ops -k softmax"]
    assert covered(["prelude-reluctant-v1"]) == {}


# Any structure at all, under the keys that mean something and under others.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.sampled_from(["1e-5", "no", "0o7", "cargo test", "<<", "*a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = ("metadata", "equations", "falsification_tests", "gates", "invariants", "proof_obligations")
KNOWN = st.sampled_from([*SECTIONS, "version", "contract", "imported", "qa_gate"])
FIELDS = (
    "id",
    "rule",
    "test",
    "prediction",
    "if_fails",
    "ship_blocking",
    "key",
    "unbound",
    "falsifier",
    "accept",
    "harness",
)
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES))
ABOUT = ("id", "version", "title", "description", "references", "depends_on", "equations")
META = st.fixed_dictionaries({}, optional=dict.fromkeys(ABOUT, VALUES))
ANY = VALUES | META | st.lists(ENTRY, max_size=4) | st.dictionaries(TEXT, ENTRY, max_size=3)
DOCUMENT = st.dictionaries(KNOWN | TEXT, ANY, max_size=6)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=DOCUMENT, flow=st.sampled_from([False, None, True]), wide=st.booleans())
def test_any_structure_is_imported_whole_or_named(document: Any, flow: bool | None, wide: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "any.yaml"
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=wide, default_flow_style=flow)
        source.write_text(text, encoding="utf-8", newline="")
        code, report = imported(folder, source)
        if code:
            assert len(report["failed"]) == 1
            assert "\n" not in report["failed"][0]
            assert any(
                why in report["failed"][0] for why in ("found no test", "is empty", "already is a harness contract")
            )
        else:
            contract_ = Path(report["imported"][0]["contract"])
            assert not check([contract_]).problems
            assert not nothing_lost(source, contract_)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.floats(0, 1), junk=st.text(max_size=6), cut=st.integers(0, 40))
def test_a_damaged_file_is_a_line_or_a_contract_never_a_traceback(seed: int, at: float, junk: str, cut: int) -> None:
    import tempfile

    text = yaml.safe_dump(contract(random.Random(seed), 0), allow_unicode=True, sort_keys=False)
    where = int(at * len(text))
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "damaged.yaml"
        source.write_bytes((text[:where] + junk + text[where + cut :]).encode("utf-8", "surrogatepass"))
        code, report = imported(Path(name), source)
        if code:
            assert len(report["failed"]) == 1
            assert report["failed"][0].startswith(str(source))
        else:
            assert not check([Path(report["imported"][0]["contract"])]).problems


def test_gather_takes_no_files() -> None:
    assert Batch.gather([]).contracts(contracts=(), claims=()) == []
