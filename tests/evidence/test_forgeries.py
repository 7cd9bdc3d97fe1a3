"""Forged evidence under a fresh seal: what was exchanged, left out or added is named, and nothing is opened."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.contract.claim import Claim
from harness.contract.text.reader import load_yaml
from harness.contract.text.writer import dump
from harness.errors import UserError
from harness.evidence import manifest, store, verify
from tests.support.command import light
from tests.support.doubling import DOUBLES
from tests.support.second_host import laboratory, reseal, rewrite_contract

Forgery = Callable[[Path], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two contracts."""
    folder = laboratory(tmp_path_factory.mktemp("forgeries"))
    light(folder, "run", "contracts", "--candidate", "good.py", "--device", "cpu")
    return store.sealed(folder / "evidence")


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    """A copy of it, to be forged."""
    return Path(shutil.copytree(sound, tmp_path / sound.name))


def result(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the result of DOUBLES and seal the claim again."""
    folder = run / "claims" / DOUBLES
    found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    change(found)
    store.write_json(folder / "result.json", found)
    seal_claim(folder)


def seal_claim(folder: Path) -> None:
    store.write_json(folder / store.SEAL, {"files": manifest.digests(folder, skip=(store.SEAL,))})


def body(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    found = store.read_json(run / "run.json")
    change(found)
    store.write_json(run / "run.json", found)


def easier_claim(run: Path) -> None:
    """The entry that the claim was judged by is not the contract's: a limit a thousand times as wide."""
    folder = run / "claims" / DOUBLES
    held = load_yaml(folder / "claim.yaml")[0]
    limit = next(entry for entry in held["claim"]["accept"].values())
    limit["le"] = 1e9
    (folder / "claim.yaml").write_text(dump(held), encoding="utf-8")
    claim = Claim(held["contract"], held["path"], held["line"], held["claim"])
    result(run, lambda found: found.update(claim_digest=claim.digest))


def drop_a_case(record: dict[str, Any]) -> None:
    gone = record["cases"].pop()["index"]
    for subject in [*record["subjects"].values(), *record["mutants"].values()]:
        for part in ("rows", "scalars", "faults"):
            subject[part] = [row for row in subject[part] if row["case"] != gone]


FORGERIES: dict[str, tuple[Forgery, str]] = {
    "another run's name": (
        lambda run: body(run, lambda b: b.update(id="20200101T000000Z-000000")),
        "keep a run's name",
    ),
    "another platform": (
        lambda run: result(run, lambda r: r["record"].update(platform="cuda")),
        "found platform 'cuda' on device 'cpu'",
    ),
    "an easier claim": (easier_claim, "is not the entry of the contract"),
    "an easier contract": (
        lambda run: (run / "contracts" / "doubling.json").write_text(
            (run / "contracts" / "doubling.json").read_text(encoding="utf-8").replace('"title":"', '"title":"x'),
            "utf-8",
        ),
        "run.json says",
    ),
    "a contract left out": (lambda run: (run / "contracts" / "slow.json").unlink(), "slow.json: missing"),
    "a case left out": (lambda run: result(run, lambda r: drop_a_case(r["record"])), "give other cases"),
    "another case": (
        lambda run: result(run, lambda r: r["record"]["cases"][0].update(seed=1)),
        "another case 0: claim and seed 0 give other cases",
    ),
    "another seed": (lambda run: body(run, lambda b: b.update(seed=1)), "claim and seed 1 give other cases"),
    "a mutant left out": (
        lambda run: result(
            run,
            lambda r: r["record"]["mutants"].pop(
                next(n for n, m in r["record"]["mutants"].items() if not m.get("free"))
            ),
        ),
        "the contract's mutants and the record's differ in",
    ),
    "a claim twice": (lambda run: body(run, lambda b: b["selected"].append(DOUBLES)), f"name '{DOUBLES}' twice"),
    "a claim not selected": (lambda run: body(run, lambda b: b["selected"].remove(DOUBLES)), "was not selected"),
    "a claim that nobody wrote": (
        lambda run: body(run, lambda b: b["selected"].append("FALSIFY-NONE-001")),
        "selected names 'FALSIFY-NONE-001', which claims do not have",
    ),
    "a claim left out of run.json": (
        lambda run: body(run, lambda b: b.update(claims=[r for r in b["claims"] if r["id"] != DOUBLES], selected=[])),
        "was not selected",
    ),
}


def test_the_run_itself_is_verified(run: Path) -> None:
    assert verify.check(run) == []


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_under_a_fresh_seal_is_named(run: Path, name: str) -> None:
    forge, told = FORGERIES[name]
    forge(run)
    manifest.write(run)
    faults = verify.check(run)
    assert any(told in fault for fault in faults), faults


def link_to_a_file(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def link_to_a_folder(path: Path) -> None:
    path.symlink_to("/etc", target_is_directory=True)


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


STRANGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link to a file": (link_to_a_file, "a link, expected a regular file"),
    "a link to a folder": (link_to_a_folder, "a link, expected a regular file"),
    "a pipe": (os.mkfifo, "a pipe, expected a regular file"),
    "a socket": (unix_socket, "a socket, expected a regular file"),
    "an empty folder": (Path.mkdir, "folder"),
    "a file": (Path.touch, "a file that no run has"),
}


@pytest.mark.parametrize("where", ["", "claims", f"claims/{DOUBLES}", "contracts"])
@pytest.mark.parametrize("kind", STRANGE)
def test_what_no_run_holds_is_refused_unopened(run: Path, kind: str, where: str) -> None:
    make, told = STRANGE[kind]
    make(run / where / "strange")
    if where.startswith("claims/"):
        seal_claim(run / where)
    manifest.write(run)
    faults = verify.check(run)
    assert any("strange: " in fault and told in fault for fault in faults), faults


def test_a_file_replaced_by_a_link_to_its_own_content_is_refused(run: Path, tmp_path: Path) -> None:
    path = run / "run.json"
    (tmp_path / "elsewhere.json").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.json")
    assert any("run.json: a link" in fault for fault in verify.check(run))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": -Infinity}', "-Infinity is no JSON"),
        ("[" * 200_000, "nested too deep"),
        ("[" + "9" * 5000 + "]", "damaged"),
        ('"\ud800"', "damaged"),
        ("", "damaged"),
    ],
)
def test_json_that_two_readers_may_read_differently_is_damaged(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UserError, match=told):
        store.read_json(path)


def test_a_json_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(1 << 34)  # a hole: it takes no room
    with pytest.raises(UserError, match="expected at most"):
        store.read_json(path)


def test_a_contract_that_is_easier_is_sealed_and_still_another_contract(run: Path) -> None:
    """`verify` finds the parts of such a run consistent; it is the gate that holds them against those at hand."""
    rewrite_contract(run, "doubling", lambda source: source["metadata"].update(title="easier"))
    assert verify.check(run) == []


def test_a_run_made_on_a_machine_that_draws_other_cases_is_not_called_forged(run: Path) -> None:
    body(run, lambda b: b["versions"].update(hypothesis="1.0"))
    result(run, lambda r: r["record"]["cases"][0].update(seed=1))
    manifest.write(run)
    assert verify.check(run) == []
    reseal(run, store.read_json(run / "run.json"))


ODD = (None, True, 0, -1, 1e308, "", "x", [], {}, [[]], {"a": {}}, "nan", "../../etc", "\u202e")


def spoil(node: Any, draw: random.Random) -> Any:
    """The data with one value exchanged, dropped or doubled, anywhere."""
    if isinstance(node, dict) and node and draw.random() < 0.9:
        key = draw.choice(list(node))
        if draw.random() < 0.1:
            return {k: v for k, v in node.items() if k != key}
        return {**node, key: spoil(node[key], draw)}
    if isinstance(node, list) and node and draw.random() < 0.9:
        at = draw.randrange(len(node))
        if draw.random() < 0.1:
            return [*node, node[at]]
        return [*node[:at], spoil(node[at], draw), *node[at + 1 :]]
    return draw.choice(ODD)


@pytest.mark.parametrize("name", ["run.json", f"claims/{DOUBLES}/result.json", f"claims/{DOUBLES}/digest.json"])
def test_no_change_of_the_data_ends_in_a_traceback(run: Path, name: str) -> None:
    path = run / name
    held = json.loads(path.read_text(encoding="utf-8"))
    draw = random.Random(name)
    quiet = 0
    for _ in range(150):
        store.write_json(path, spoil(held, draw))
        if name.startswith("claims/") and path.name != store.SEAL:
            seal_claim(path.parent)
        manifest.write(run)
        quiet += not verify.check(run)  # a word in a reason that nothing else holds may change
    assert quiet < 40


@pytest.mark.parametrize("name", [f"claims/{DOUBLES}/claim.yaml", "contracts/doubling.json", "ship.yaml"])
def test_no_change_of_the_texts_ends_in_a_traceback(run: Path, name: str) -> None:
    path = run / name
    held = path.read_bytes()
    draw = random.Random(name)
    for _ in range(100):
        changed = bytearray(held)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(changed))
            changed[at : at + draw.randint(0, 3)] = bytes(
                draw.choices(b"{}[]:-&*!|> \n\t\"'0a\xff\x00", k=draw.randint(0, 3))
            )
        path.write_bytes(bytes(changed))
        if name.startswith("claims/"):
            seal_claim(path.parent)
        manifest.write(run)
        assert isinstance(verify.check(run), list)
