"""Forged evidence under a fresh seal: what was exchanged, left out or added is named, and nothing is opened."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.evidence import manifest, store, verify
from harness.falsifiers.itself.edits import body, reseal, result, rewrite_contract, seal_claim
from harness.falsifiers.itself.forgeries import BYTES, FORGERIES, PLACES, STRANGE, forge_named, plant
from harness.falsifiers.itself.shop import DOUBLES
from tests.support.command import light
from tests.support.second_host import laboratory


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


def test_the_run_itself_is_verified(run: Path) -> None:
    assert verify.check(run) == []


@pytest.mark.parametrize("name", [*FORGERIES, *BYTES])
def test_a_forgery_is_named(run: Path, name: str) -> None:
    told = forge_named(run, name)
    faults = verify.check(run)
    assert any(told in fault for fault in faults), faults


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("kind", STRANGE)
def test_what_no_run_holds_is_refused_unopened(run: Path, kind: str, where: str) -> None:
    plant(run, kind, where)
    told = STRANGE[kind][1]
    faults = verify.check(run)
    assert any("strange: " in fault and told in fault for fault in faults), faults


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
