"""The evidence's JSON files have schemas: as strict as the types, true of real runs, and held against each file."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest

from harness.evidence import body, counterexample, manifest, shape, store, verify
from harness.judging import record, result, ship
from harness.judging.cause import Cause, RootCauseClass
from harness.judging.verdict import Verdict
from harness.measurements.row import Row
from harness.subject.device_facts import Clocks, DeviceFacts
from harness.subject.identity import Identity
from tests.support import report_lab as lab
from tests.support.repository import ROOT

TYPES: tuple[tuple[Any, str, str | None], ...] = (
    (result.Result, "result", None),
    (body.RunBody, "run", None),
    (counterexample.Counterexample, "counterexample", None),
    (manifest.Manifest, "manifest", None),
    (store.ClaimSeal, "digest", None),
    (result.Localised, "stages", "localised"),
    (result.NotLocalised, "stages", "not_localised"),
    (result.StageError, "stages", "stage"),
    (record.Record, "result", "record"),
    (record.Subject, "result", "subject"),
    (record.CaseEntry, "result", "case"),
    (Row, "result", "row"),
    (record.Scalar, "result", "scalar"),
    (record.Fault, "result", "fault"),
    (result.Violation, "result", "violation"),
    (result.Fate, "result", "fate"),
    (result.Smallest, "result", "smallest"),
    (result.Edit, "result", "edit"),
    (result.Worst, "result", "worst"),
    (result.Hit, "result", "hit"),
    (result.Search, "result", "search"),
    (result.ShortFate, "run", "short_fate"),
    (result.ClaimRow, "run", "claim"),
    (ship.CriterionRow, "run", "criterion"),
    (ship.TargetRow, "run", "target"),
    (ship.Parts, "run", "parts"),
    (body.Options, "run", "options"),
    (body.Machine, "run", "machine"),
    (DeviceFacts, "run", "device_facts"),
    (Clocks, "run", "clocks"),
    (result.TorchSettings, "run", "torch_settings"),
    (body.Checkpoint, "run", "checkpoint"),
    (body.ContractEntry, "run", "contract"),
    (Identity, "run", "identity"),
    (counterexample.Stored, "counterexample", "array"),
)
OPEN = {"row", "params"}
"""Objects that may have keys of their own: sums of single measurements, and a case's parameters."""


@pytest.mark.parametrize(("kind", "name", "part"), TYPES, ids=lambda value: getattr(value, "__name__", value))
def test_a_type_and_its_schema_have_the_same_keys(kind: Any, name: str, part: str | None) -> None:
    schema = shape.load(name)
    node = schema["$defs"][part] if part else schema
    assert set(node["properties"]) == set(kind.__annotations__)
    # Annotations are text here, which TypedDict itself does not read: __required_keys__ would name them all.
    optional = {key for key, told in kind.__annotations__.items() if told.__forward_arg__.startswith("NotRequired[")}
    assert set(node["required"]) == set(kind.__annotations__) - optional


def test_closed_lists_are_those_of_the_code() -> None:
    shared = shape.load("run")["$defs"]
    assert shared["verdict"]["enum"] == [each.value for each in Verdict]
    assert shared["cause"]["enum"] == [*[each.value for each in Cause], None]
    assert shared["root_cause_class"]["enum"] == [*get_args(RootCauseClass), None]
    assert shared["status"]["enum"] == list(get_args(record.Status))
    assert shape.load("run")["properties"]["schema"]["const"] == body.SCHEMA


def _objects(node: Any, way: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below a node, with its way."""
    if isinstance(node, dict):
        yield way, node
        for key, value in node.items():
            yield from _objects(value, f"{way}/{key}")
    elif isinstance(node, list):
        for each in node:
            yield from _objects(each, way)


@pytest.mark.parametrize("name", [*shape.FILES, "shared"])
def test_every_schema_is_valid_strict_and_in_words(name: str) -> None:
    schema = json.loads((shape.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema_rs.meta.validate(schema)
    described = {**shape.load("run")["$defs"], **schema.get("$defs", {})}
    for way, node in _objects(schema):
        last = way.rpartition("/")[2]
        if node.get("type") == "object" and last not in OPEN and "if" not in node:
            assert "additionalProperties" in node, f"{way}: any key is allowed"
            assert node["additionalProperties"] is False or "properties" not in node, f"{way}: unknown keys are allowed"
        properties = node.get("properties", {}) if last != "properties" else {}
        for key, value in properties.items():
            target = described.get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or target.get("description"), f"{way}/{key}: no description"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run with a counterexample, stages, series and a claim that raised."""
    folder = tmp_path_factory.mktemp("shape")
    lab.build(folder)
    (folder / "kernel<b>.py").write_text(lab.WRONG, encoding="utf-8")
    return lab.run(folder)


def test_a_real_run_has_every_kind_of_file_and_keeps_to_their_schemas(run: Path) -> None:
    files = {path.stem for path in run.rglob("*.json") if path.parent.name != "contracts"}
    assert files == set(shape.FILES) - {"signature"}  # a run is signed where someone has a key
    assert shape.faults(run) == []
    assert verify.check(run) == []


DOUBLES = "claims/FALSIFY-DOUBLES-001"
Change = Callable[[Any], Any]


def _set(*way: str | int, to: Any) -> Change:
    def change(data: Any) -> None:
        for step in way[:-1]:
            data = data[step]
        data[way[-1]] = to

    return change


def _drop(*way: str | int) -> Change:
    def change(data: Any) -> None:
        for step in way[:-1]:
            data = data[step]
        del data[way[-1]]

    return change


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("run.json", _set("verdicts", to={}), "the file: found the unknown key 'verdicts', expected status, id"),
        ("run.json", _set("claims", 0, "selected", to="yes"), "claims[0].selected: found 'yes', expected whether the"),
        ("run.json", _set("claims", 0, "cause", to="raisd"), "did you mean 'raised'?"),
        ("run.json", _set("counts", "GREEN", to=9), "counts: found the key 'GREEN', expected the verdict"),
        ("run.json", _set("targets", 0, "ship_percent", to=101), "at most 100"),
        ("run.json", _set("code", "harness", to="abc"), "code.harness: found 'abc', expected"),
        ("run.json", _set("contracts", 0, "lines", "FALSIFY-DOUBLES-001", to=0), "expected a line, from 1"),
        (f"{DOUBLES}/result.json", _drop("record", "platform"), "record: found no 'platform', expected the kind of"),
        (
            f"{DOUBLES}/result.json",
            _set("record", "subjects", "candidate", "status", to="rann"),
            "record.subjects.candidate.status: found 'rann', expected whether and how a subject ran (ran, crashed,",
        ),
        (f"{DOUBLES}/result.json", _set("record", "cases", 0, "seed", to=-1), "record.cases[0].seed: found -1"),
        (
            f"{DOUBLES}/result.json",
            _set("record", "subjects", "candidate", "rows", 0, "err_sq", to="infinite"),
            "rows[0].err_sq: found 'infinite', expected a number, or the text nan, inf or -inf",
        ),
        (
            f"{DOUBLES}/result.json",
            _set("record", "subjects", "candidate", "rows", 0, "remark", to="fine"),
            "rows[0].remark: found 'fine', expected",
        ),
        (f"{DOUBLES}/result.json", _drop("mutants", 0, "kills"), "mutants[0]: found no 'kills', expected each limit"),
        (f"{DOUBLES}/counterexample.json", _set("note", to=""), "found the unknown key 'note'"),
        (f"{DOUBLES}/counterexample.json", _set("violated", to=[]), ""),
        (f"{DOUBLES}/stages.json", _drop("stages", 0, "alone_u"), "stages[0]: found no 'alone_u'"),
        (f"{DOUBLES}/stages.json", _set("unsupported", to="no"), "found the unknown key"),
        (f"{DOUBLES}/digest.json", _set("note", to=""), "found the unknown key 'note', expected files"),
        ("notes.json", None, "a file that no run has"),
        ("run.json", _set("schema", to=1), "found schema 1, expected 4; another version of Harness made it"),
    ],
)
def test_a_wrong_file_under_a_fresh_seal_is_refused(
    run: Path, tmp_path: Path, file: str, change: Change | None, told: str
) -> None:
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    path = copy / file
    data = json.loads(path.read_text(encoding="utf-8")) if change else {}
    if change:
        change(data)
    store.write_json(path, data)
    if path.parent.parent.name == "claims" and path.name != store.SEAL:
        seal = {"files": manifest.digests(path.parent, skip=(store.SEAL,))}
        store.write_json(path.parent / store.SEAL, seal)
    manifest.write(copy)
    faults = verify.check(copy)
    if not told:  # a shape that may be: no fault is invented
        assert faults == []
        return
    assert all(fault.startswith(f"{path}: ") for fault in faults), faults
    assert any(told in fault for fault in faults), faults
    assert len(faults) == 1 or "unsupported" in data, faults  # of stages that are not known every other key is a fault


def test_start_up_loads_no_schema() -> None:
    """`validate` and `--help` have no business with the evidence's schemas."""
    import subprocess
    import sys

    code = "import sys; from harness.commands.main import main\ntry:\n main(['--help'])\nexcept SystemExit: pass\n"
    heavy = "print([m for m in ('numpy', 'torch', 'jsonschema_rs', 'harness.evidence.shape') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_reference_has_every_key_and_every_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site_hooks"))
    text = importlib.import_module("evidence_reference").page()
    for name in [*shape.FILES, "shared"]:
        schema = json.loads((shape.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
        for way, node in _objects(schema):
            for key in node.get("properties", {}) if way.rpartition("/")[2] != "properties" else ():
                assert f"| `{key}` | " in text, key
    assert all(f"| `{cause}` | " in text for cause in Cause)
