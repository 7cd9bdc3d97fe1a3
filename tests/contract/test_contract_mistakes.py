"""Every kind of mistake is told at its line and column, with what was found and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.contract.validate import check
from tests.support.example_contract import CONTRACT, FALSIFIER, lay, told

ACCEPT = CONTRACT[CONTRACT.index("    max_abs_err") : CONTRACT.index("  mutants:")]
MUTANTS = "[eps_hardcoded_1e-5, eps_outside_sqrt, cache_key_ignores_eps]"
LOSS = "    val_loss: {lt: ln_vocab, gt: 0.01, why: w}\n"


def edited(old: str, new: str) -> str:
    assert CONTRACT.count(old) == 1, old
    return CONTRACT.replace(old, new)


# (what is written for what, the text whose place is told (its last occurrence), words of the message)
SHAPE = [
    ("  budget_s: 30", "  budget: 30", "budget: 30", "unknown key 'budget'; did you mean 'budget_s'?"),
    ("  falsifier: stub", "  falsifer: stub", "falsifer", "unknown key 'falsifer'; did you mean 'falsifier'?"),
    ("  mutants: [", "  mutnats: [", "mutnats", "unknown key 'mutnats'; did you mean 'mutants'?"),
    ("equations:", "equation:", "equation:", "unknown key 'equation'; did you mean 'equations'?"),
    ("{le: 2.0, why", "{leq: 2.0, le: 2.0, why", "leq", "unknown operator 'leq'; did you mean 'le'?"),
    ("rows: {boundary:", "rows: {bondary:", "bondary", "unknown domain 'bondary'; did you mean 'boundary'?"),
    ("  rule: Output", "  # rule: Output", "id: FALSIFY", "missing 'rule'"),
    ("  version: 1.0.0", "  version: 1.0", "1.0\n", "version: found 1.0, expected a semantic version"),
    ("id: rmsnorm-eps-threading", "id: RMSNorm", "RMSNorm\n", "found 'RMSNorm', expected kebab-case"),
    ("FALSIFY-RMSNORM-EPS-001", "falsify-1", "falsify-1", "found 'falsify-1', expected upper-case text"),
    ("examples: 40", "examples: 0", "0\n  accept", "examples: found 0, expected a whole number of at least 1"),
    ("examples: 40", "examples: many", "many", "found 'many', expected a whole number"),
    ("FALSIFY-RMSNORM-EPS-001", "A" * 201, "A" * 201, "of at most 200 characters"),
    ("id: rmsnorm-eps-threading", f"id: {'a' * 201}", "a" * 201, "..., expected kebab-case text like rms"),
    ("examples: 40", "examples: 10001", "10001", "found 10001, expected at most 10000; or write examples_exempt"),
    (
        "examples: 40",
        "examples: 40\n  examples_exempt: w",
        "examples_exempt",
        "found examples 40, which needs no reason",
    ),
    ("examples: 40", "examples: 40\n  scale: 0", "0\n  accept", "scale: found 0, expected a number above 0"),
    ("ship_blocking: true", "ship_blocking: yes", "yes", "found 'yes', expected true or false"),
    (
        "[cuda]",
        "[cdua]",
        "cdua",
        "xpu or hpu, never rehearsal; did you mean 'cuda'?",
    ),
    (
        "[cuda]",
        "[rehearsal]",
        "rehearsal",
        "found 'rehearsal', expected cpu, cuda, mps, xpu or hpu, never rehearsal",
    ),
    ("[cuda]", "[]", "[]\n  ship", "discharges_on: found an empty list, expected a list of cpu, cuda"),
    ("  if_fails: look", "  if_fails: ''\n# look", "''", "found '', expected text that is not blank"),
    ("references: [", "references: [3, ", "3, ", "references[0]: found 3, expected text"),
    ("{boundary: [1, 129]}", "{boundary: [1.5, 129]}", "1.5", "found 1.5, expected a whole number"),
    ("{boundary: [1, 129]}", "{boundary: [1, 2], uniform: [1, 2]}", "{boundary", "expected exactly one of choices"),
    ("{boundary: [1, 129]}", "{choices: []}", "[]}", "found an empty list, expected a list of at least one value"),
    ("{boundary: [1, 129]}", "{log_uniform: [0, 1]}", "0, 1]", "found 0, expected a number above 0"),
    ("{boundary: [1, 129]}", "{boundary: [9, 1]}", "[9, 1]", "found [9, 1], expected [lo, hi] with lo <= hi"),
    ("{boundary: [1, 129]}", "{uniform: [9, 1]}", "[9, 1]", "found [9, 1], expected [lo, hi] with lo <= hi"),
    ("{boundary: [1, 129]}", "{log_uniform: [1, 1]}", "[1, 1]", "found [1, 1], expected [lo, hi] with lo < hi"),
    ("rows: {", "max-rows: {", "max-rows", "found the key 'max-rows', expected a parameter name"),
    (
        CONTRACT[CONTRACT.index("- id: FALS") :],
        "  []",
        "[]",
        "found an empty list, expected a list of at least one claim",
    ),
]
LIMITS = [
    (ACCEPT, "    {}\n", "{}\n", "accept: found an empty map, expected a map of at least one measurement"),
    ("{le: 2.0, why: pooled", "{le: 2.0} # {", "err_ratio", "accept.err_ratio: missing 'why'"),
    ("{le: 2.0, why", "{why", "err_ratio", "found no operator, expected a limit with at least one operator"),
    ("{le: 2.0, why", "{le: two words, why", "two words", "found 'two words', expected a number, the name of"),
    ("{le: 2.0, why", "{le: .nan, why", ".nan", "accept.err_ratio.le: found .nan, expected a finite number"),
    ("{le: 2.0, why", "{le: 1e999, why", "1e999", "found .inf, expected a finite number"),
    ("{le: 2.0, why", "{le: {float32: -.inf}, why", "-.inf", "found .-inf, expected a finite number"),
    ("{le: 2.0, why", "{le: {flaot32: 1}, why", "flaot32", "unknown dtype 'flaot32'; did you mean 'float32'?"),
    ("{le: 2.0, why", "{le: {float32: 1}, when: {}, why", "{}, why", "when: found an empty map"),
    ("    err_ratio:", "    err_ration:", "err_ration", "unknown measurement 'err_ration'; did you mean 'err_ratio'?"),
    ("{le: 2.0, why", "{le: ln_vocap, why", "ln_vocap", "unknown measurement 'ln_vocap'; did you mean 'ln_vocab'?"),
    ("    err_ratio:", "    any_of: []\n    err_ratio:", "[]\n    err", "expected a list of at least one map"),
    (
        "    err_ratio:",
        "    all_of: [{err_ratoi: {le: 1, why: w}}]\n    err_ratio:",
        "err_ratoi",
        "unknown measurement",
    ),
    ("{le: 2.0, why", "{le: 2.0, ge: 3.0, why", "err_ratio", "satisfies le 2 and ge 3; widen"),
    ("{le: 2.0, why", "{le: 2.0, gt: 2.0, why", "err_ratio", "satisfies le 2 and gt 2"),
    ("{le: 2.0, why", "{eq: 3, le: 2.0, why", "err_ratio", "satisfies le 2 and eq 3"),
    ("{le: 2.0, why", "{lt: 0, why", "err_ratio", "(it lies in [0, inf]) satisfies lt 0"),
    ("err_ratio:   {le: 2.0, why", "cosine: {ge: 1.01, why", "cosine", "(it lies in [-1, 1]) satisfies ge 1.01"),
    (
        "{le: 2.0, why",
        "{le: {float32: 2, default: 9}, ge: {bfloat16: 10, default: 1}, why",
        "err_ratio",
        "satisfies le 9 and ge 10 in bfloat16",
    ),
    ("{le: 2.0, why", "{le: {float32: 2, float16: 2}, why", "err_ratio", "a bound for float16, but the claim runs in"),
    (ACCEPT, LOSS.replace("gt: 0.01, ", ""), "val_loss", "val_loss has no lower bound that always holds"),
    (ACCEPT, LOSS.replace("lt: ln_vocab, ", ""), "val_loss", "val_loss has no upper bound that always holds"),
    (
        ACCEPT,
        "    any_of:\n    - val_loss: {lt: 9, gt: 1, why: w}\n    - val_loss: {lt: 8, why: w}\n",
        "val_loss: {lt: 9",
        "val_loss has no lower bound",
    ),
    (
        "when: {dtype: float32}",
        "when: {dtpye: float32}",
        "dtpye",
        "'dtpye' is neither explored nor given; did you mean",
    ),
    ("when: {dtype: float32}", "when: {dtype: float16}", "float16", "'float16' never happens, dtype is one of float32"),
    ("when: {dtype: float32}", "when: {eps: 1e-7}", "1e-7", "1e-07 never happens, eps is one of 1e-06, 1e-05"),
    ("when: {dtype: float32}", "when: {rows: 130}", "130", "130 never happens, rows is one of [1, 129]"),
    ("when: {dtype: float32}", "when: {hidden: 64}", "64", "64 never happens, hidden is one of 896"),
    ("when: {dtype: float32}", "when: {std: true}", "true}", "true never happens, std is one of 0.02, 1.0"),
    (
        ACCEPT,
        "    max_abs_err: {le: 1, when: {dtype: float32}, why: w}\n",
        "accept",
        "no limit applies in bfloat16, in which the claim runs",
    ),
    (ACCEPT, "    ulp: {le: {bfloat16: 1}, why: w}\n", "accept", "no limit applies in float32"),
    (ACCEPT, "    ulp: {le: 1, when: {eps: 1e-6}, why: w}\n", "accept", "no limit applies when eps is 1e-05"),
]
CLAIM = [
    (MUTANTS, "[]", "mutants: []", "no mutants, so nothing shows that this claim can fail"),
    (f"  mutants: {MUTANTS}\n", "", "id: FALSIFY", "no mutants, so nothing shows"),
    ("  budget_s: 30", "  mutants_exempt: why not", "mutants_exempt", "both mutants and mutants_exempt"),
    ("given: {op: rmsnorm,", "given: {op: rmsnorm, rows: 3,", "rows: {", "'rows' is both given and explored"),
    ("[float32, bfloat16]", "[float32, bflaot16]", "bflaot16", "found 'bflaot16', expected one of float64"),
    ("{choices: [float32, bfloat16]}", "{boundary: [1, 2]}", "{boundary: [1, 2]}", "dtype: expected choices among"),
    ("[eps_hardcoded_1e-5,", "[eps_hardcoded_1e-6,", "eps_hardcoded_1e-6", "did you mean 'eps_hardcoded_1e-5'?"),
    ("[eps_hardcoded_1e-5,", "[stub.py:eps, ", "stub.py:eps", "mutant 'stub.py:eps': no function of this name under"),
    ("[eps_hardcoded_1e-5,", "[stbu.py:eps, ", "stbu.py:eps", "no file"),
    ("stub.py:parity", "stub.py:partiy", "stub.py:partiy", "stub.py has no 'partiy'; did you mean 'parity'?"),
    (
        "stub.py:parity",
        "stbu.py:parity",
        "stbu.py:parity",
        "did you mean 'stub.py'? (paths are relative to the contract)",
    ),
    (
        "stub.py:parity",
        "falsifiers.opps:parity",
        "falsifiers.opps",
        "no module 'opps' in harness.falsifiers; did you mean 'ops'?",
    ),
    ("stub.py:parity", "falsifier.ops:parity", "falsifier.ops", "no package 'falsifier' on the path; did you mean"),
    ("stub.py:parity", "stub.py:Kind", "stub.py:Kind", "'Kind' is a class, expected a function"),
    ("stub.py:parity", "stub.py:one", "stub.py:one", "takes subject by position, expected (subject, case"),
    ("stub.py:parity", "stub.py", "stub.py\n", "expected package.module:function, or path.py:function"),
    ("baseline: torch_ops.py", "baseline: torch_op.py", "torch_op.py", "did you mean 'torch_ops.py'?"),
    ("{op: rmsnorm,", "{op: rmsnrom,", "rmsnrom", "given.op 'rmsnrom': expected an op of INPUTS in"),
    ("hidden: 896}", "hiden: 896, hidden: 896}", "hiden", "takes no 'hiden'; did you mean 'hidden'?"),
    (", hidden: 896}", "}", "given", "requires the parameter 'hidden'; add it to given or explore"),
    ("hidden: 896}", "hidden: 896, std: 1, weights: 'stub.py:nowhere'}", "'stub.py:nowhere'", "has no 'nowhere'"),
    ("depends_on: []", "depends_on: [rmsnorm]", "rmsnorm]", "no contract 'rmsnorm'"),
    ("depends_on: []", "depends_on: [rmsnorm-eps-threading]", "rmsnorm-eps-threading]", "goes in a circle"),
]


@pytest.mark.parametrize(("old", "new", "at", "words"), SHAPE + LIMITS + CLAIM)
def test_mistakes(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    text = edited(old, new)
    before = text[: text.rindex(at)]
    place = f"rmsnorm.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}: error: "
    lines = told(check([lay(tmp_path, text)]))
    assert [line for line in lines if line.startswith(place) and words in line], lines
    assert all("\n" not in line and "Traceback" not in line for line in lines)


@pytest.mark.parametrize(("old", "new", "at", "words"), [row for row in SHAPE if "unknown" in row[3]])
def test_a_near_miss_is_told_once(tmp_path: Path, old: str, new: str, at: str, words: str) -> None:
    assert len(told(check([lay(tmp_path, edited(old, new))]))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FALSIFY-RMSNORM-EPS-001", "A" * 200),
        ("id: rmsnorm-eps-threading", f"id: {'a' * 200}"),
        ("examples: 40", "examples: 10000"),
        ("examples: 40", "examples: 10001\n  examples_exempt: each case is a bit pattern of its own"),
    ],
)
def test_what_a_bound_still_allows_is_no_mistake(tmp_path: Path, old: str, new: str) -> None:
    lay(tmp_path, edited(old, new))
    assert [problem for problem in check([tmp_path]).problems if problem.severity == "error"] == []


def test_what_needs_a_baseline_says_so(tmp_path: Path) -> None:
    lines = told(check([lay(tmp_path, edited("  baseline: torch_ops.py\n", ""))]))
    assert [line.partition("error: ")[2].partition(",")[0] for line in lines] == [
        "err_ratio compares with a baseline",
        "worst_ratio compares with a baseline",
        "mutants are made from a baseline",
    ]


def test_two_sides_in_every_branch_are_enough(tmp_path: Path) -> None:
    both = (
        "    val_loss: {lt: ln_vocab, why: w}\n    any_of: [{val_loss: {gt: 1, why: w}}, {val_loss: {ge: 2, why: w}}]\n"
    )
    assert told(check([lay(tmp_path, edited(ACCEPT, both))])) == []


@pytest.mark.parametrize("name", ["loss", "val_loss", "loss_end", "perplexity", "val_perplexity", "ppl", "nll"])
def test_each_name_of_a_loss_is_known(tmp_path: Path, name: str) -> None:
    stub = FALSIFIER.replace('"val_loss"', f'"{name}"')
    text = edited(ACCEPT, f"    {name}: {{lt: 9, why: w}}\n")
    assert "no lower bound" in "".join(told(check([lay(tmp_path, text, stub=stub)])))


def test_every_mistake_of_every_file_is_told(tmp_path: Path) -> None:
    lay(tmp_path, edited("examples: 40", "examples: 0").replace("stub.py:parity", "stub.py:partiy"))
    lay(tmp_path, "a: [", name="broken.yaml")
    lay(tmp_path, "[]", name="list.yaml")
    lines = told(check([tmp_path]))
    assert [line.split(":")[0] for line in lines] == ["broken.yaml", "list.yaml", "rmsnorm.yaml", "rmsnorm.yaml"]
    assert "the file: found an empty list, expected a map with metadata" in lines[1]


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    lay(tmp_path)
    lay(tmp_path, name="zz.yaml")
    lines = told(check([tmp_path]))
    assert len(lines) == 2
    assert lines[0].startswith("zz.yaml:2:7: error: contract id 'rmsnorm-eps-threading' is already at ")
    assert lines[1].startswith("zz.yaml:11:7: error: claim id 'FALSIFY-RMSNORM-EPS-001' is already at ")
    assert lines[1].endswith("rmsnorm.yaml:11; give one of them another")


def test_a_cycle_names_its_members(tmp_path: Path) -> None:
    for name, need in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        text = CONTRACT.replace("rmsnorm-eps-threading", name).replace("EPS-001", f"EPS-{name.upper()}")
        lay(tmp_path, text.replace("depends_on: []", f"depends_on: [{need}]"), name=f"{name}.yaml")
    lines = told(check([tmp_path]))
    assert lines == ["a.yaml:7:16: error: depends_on goes in a circle: a -> b -> c -> a; remove one of these"]


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / "empty").mkdir()
    lines = [str(each) for each in check([tmp_path / "rmsnrom.yaml", tmp_path / "empty", "builtin:opps"]).problems]
    assert any("no such file or folder" in line and "did you mean 'rmsnorm.yaml'?" in line for line in lines)
    assert any("empty:1:1: error: no contract in this folder" in line for line in lines)
    assert any("builtin:opps:1:1: error: no such file or folder; did you mean 'ops'?" in line for line in lines)


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    path = lay(tmp_path)
    assert check([path, tmp_path, tmp_path / ".." / tmp_path.name / path.name]).files == 1
