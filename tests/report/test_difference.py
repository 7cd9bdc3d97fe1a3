"""What differs between two runs is named, each part by itself."""

from harness.evidence.provenance import PARTS, code_digests
from harness.report import difference

BODY = {
    "candidate": {"spec": "kernel.py", "sha256": "1"},
    "device": "cpu",
    "seed": 0,
    "options": {"weights": None, "select": ""},
    "host": {"python": "3.11", "device": None},
    "versions": {"numpy": "2", "torch": "2"},
    "code": code_digests(),
    "contracts": [{"id": name, "sha256": "1", "files": {}} for name in ("doubling", "trouble")],
}


def test_what_differs_is_named():
    contract = BODY["contracts"][0]
    edited = {**contract, "sha256": "0", "files": {**contract["files"], "own.py": "0"}}
    after = {
        **BODY,
        "device": "cuda:0",
        "code": {**BODY["code"], "reference": "0"},
        "versions": {**BODY["versions"], "torch": "9"},
        "contracts": [edited, *BODY["contracts"][1:], {**contract, "id": "another"}],
    }
    told = [each.text for each in difference.differences(BODY, after)]
    assert told == [
        "contract another is new",
        f"contract {contract['id']} was edited",
        f"own.py, which contract {contract['id']} binds, was edited",
        "code of reference was edited",
        "device cpu → cuda:0",
        f"torch {BODY['versions']['torch']} → 9",
    ]
    of_claim = difference.of_claim(difference.differences(BODY, after), "trouble")
    assert difference.joined(of_claim).startswith("code of reference")
    assert difference.joined([]) == difference.UNEXPLAINED


def test_each_part_of_the_code_is_named_when_it_alone_changed():
    assert {"harness", *PARTS} == set(BODY["code"])
    for part in BODY["code"]:
        after = {**BODY, "code": {**BODY["code"], part: "0"}}
        assert difference.joined(difference.differences(BODY, after)) == f"code of {part} was edited"
    without = {**BODY, "code": {name: sha for name, sha in BODY["code"].items() if name != "formats"}}
    assert difference.joined(difference.differences(BODY, without)) == "code of formats was edited"


def test_facts_of_the_device_differ_by_name_and_clocks_do_not_count():
    facts = {"name": "H100", "driver": "570", "clocks_mhz": {"sm": 345}, "settings": {"cublas_fp32": "ieee"}}
    warm = {**facts, "clocks_mhz": {"sm": 1980}}
    after = {**warm, "driver": "575", "settings": {"cublas_fp32": "tf32"}}

    def told(old, new, device="cuda:0"):
        bodies = [{**BODY, "device": device, "host": {"device": each}} for each in (old, new)]
        return [each.text for each in difference.differences(*bodies)]

    assert told(facts, warm) == []
    assert told(facts, after) == ["driver 570 → 575", "cublas_fp32 ieee → tf32"]
    assert told({**facts, "settings": None}, facts) == ["cublas_fp32 none → ieee"]
    assert told(None, facts) == []
