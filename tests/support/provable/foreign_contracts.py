"""Generate provable-contracts files from a seed, as irregular as those in public repositories."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml

OPS = (
    "softmax",
    "rms_norm",
    "rope",
    "gqa attention",
    "swiglu",
    "adamw",
    "cross-entropy",
    "conv2d",
    "beam search",
    "ЛюдиNorm",
)
PROSE = (
    "property test over 5000 random rows, width 1..96",
    "Compare with the scalar loop, four lanes at a time",
    "proptest: rows with one element; a row of equal elements",
    "Load the model twice -- the second load must give the same bytes",
    "Für jede Zeile gilt Σ p_i = 1 ± ε\n\nund zwar immer.\n",
)
COMMANDS = (
    "cargo test -p kernels --lib sums_to_one",
    "pytest tests/test_rows.py::test_sum -q",
    "kernels.rows:parity",
    "src/rows.rs::tests::sums_to_{one,two}",
    'out=$(tool rows --limit 4 2>&1)\necho "$out" | grep -q "rows: 4"\n',
)
CODE = (
    "#[test]\nfn sums() {\n    assert!(sum(&x) > 0.9); // {not: yaml}\n}\n",
    "def test_sum():\n    assert sum(x) == 1\n",
)
SCALARS: tuple[Any, ...] = (
    1e-5,
    0.1,
    7,
    True,
    None,
    "1e-5",
    "no",
    "1:30",
    "0x1F",
    "",
    "- a",
    "# b",
    "x: y",
    "∀ x ∈ ℝ",
    "2026-02-03",
)


def contract(random_: random.Random, number: int) -> dict[str, Any]:
    """One of them as data."""
    op = random_.choice(OPS)
    prefix = "".join(c for c in op.upper() if c.isascii() and c.isalpha())[:3] or "X"
    found: dict[str, Any] = {}
    if random_.random() < 0.8:
        found["metadata"] = {
            "version": random_.choice(["1.0.0", "2.1.0-rc.1", "1.0", "v3", 2, 1.10, None, "first"]),
            "created": "2026-02-03",
            "description": random_.choice([f"{op}, row by row", "Two lines:\nthe second.\n", "", 3]),
            "references": random_.choice([["Somebody (2019), A Title"], [], "one text", ["a", ""], None]),
            "depends_on": random_.choice([[], ["kernel-0-v1"], ["contracts/kernel-1-v1.yaml", "elsewhere-v9"], "text"]),
        }
        if random_.random() < 0.3:
            found["metadata"]["id"] = random_.choice([f"C-{prefix}_{number}", f"kernel-{number}-v1", 12, ""])
    if random_.random() < 0.3:
        found |= {"contract_id": f"K-{number}", "status": "PROPOSED", "version": 1}
    found["equations"] = random_.choice(
        [
            {op: {"formula": "y_i = x_i / Σ x", "domain": "x ∈ ℝ^n", "invariants": ["Σ y = 1", "y_i > 0"]}},
            {op: "y = f(x)", "other": {"formula": ["a", "b"]}, "empty": None},
            [{"name": op, "formula": "y = x"}],
            {},
            "y = x",
        ]
    )
    for section in random_.sample(["falsification_tests", "gates", "falsification", "proof_obligations"], k=2):
        tests = [_test(random_, f"{random_.choice(['FALSIFY', 'F', 'gate'])}-{prefix}-{i:03}") for i in range(4)]
        as_map = {f"case {i}": each for i, each in enumerate(tests)}
        found[section] = random_.choices([tests, as_map, [*tests, "a bare sentence", None, 5, ["x"]]], [6, 1, 2])[0]
    extras: dict[str, Any] = {
        "kani_harnesses": [{"id": f"KANI-{prefix}-1", "bound": 8, "strategy": "stub_float", "harness": "verify_it"}],
        "qa_gate": {"id": "F-1", "checks": ["sums"], "pass_criteria": "all", "falsification": "swap two rows"},
        "simd_dispatch": {op: {"scalar": "f_scalar", "avx2": "f_avx2"}},
        "enforcement": {"sums": {"check": "tests::sums", "severity": "ERROR"}},
        "verification_summary": {"total": 4, "proved": 0, "notes": random_.choice(SCALARS)},
        "odd": {str(value): value for value in random_.sample(SCALARS, k=4)},
        "deep": [[[{"a": [{"b": {"c": random_.choice(SCALARS)}}]}]]],
    }
    found |= {key: extras[key] for key in random_.sample(list(extras), k=random_.randint(1, len(extras)))}
    keys = list(found)
    random_.shuffle(keys)
    return {key: found[key] for key in keys}


def _test(random_: random.Random, id_: str) -> Any:
    found: dict[str, Any] = {
        "id": random_.choices([id_, id_.lower(), 7, None], [8, 1, 1, 1])[0],
        "rule": random_.choice(["Rows sum to one", "Same as scalar", 3, ""]),
        "prediction": random_.choice(["Σ y = 1 within 1e-6", "unchanged", None, ["a", "b"]]),
        "test": random_.choice([*PROSE, *COMMANDS, *CODE, list(COMMANDS[:2]), {"command": COMMANDS[0]}, None]),
        "if_fails": random_.choice(["the maximum was not subtracted", "", None]),
        "severity": "P0",
        "ship_blocking": random_.choice([True, False, "yes"]),
        "tolerance": random_.choice(SCALARS),
        "discharge_status": "PARTIAL_ALGORITHM_LEVEL",
        "counter_example_classes": ["empty", "one row"],
        "harness": COMMANDS[3],
        "title": "rows",
        "mutation": "drop the last row",
    }
    return {key: found[key] for key in found if random_.random() < 0.7} or {"id": id_}


def write(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` files in `folder`: block and flow style, comments, byte order marks, folders with files of one name."""
    random_ = random.Random(seed)
    files = []
    for number in range(count):
        text = yaml.safe_dump(
            contract(random_, number),
            sort_keys=False,
            allow_unicode=random_.random() < 0.5,
            default_flow_style=random_.choice([False, None]),
            width=random_.choice([60, 1000]),
        )
        head = random_.choice(["", "# a head ─── line\n", "---\n", "\ufeff", "%YAML 1.2\n---\n"])
        name = "same-v1.yaml" if number % 25 == 24 else f"kernel-{number}-v1.yaml"
        path = folder / f"part{number // 25}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + text + random_.choice(["", "# a tail\n"]), encoding="utf-8", newline="")
        files.append(path)
    return files
