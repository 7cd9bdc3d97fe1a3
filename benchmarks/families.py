"""Every declared family, as its users bring it: a small random folder, run by transformers under the checkpoint claims.

    python benchmarks/families.py --families gemma2,mamba2 --variants first --seeds 0-4

Each line is one folder and one seed. Exit 1 if a claim is neither PARTIAL nor DISCHARGED, or if nothing was run. The
claim on caches may be UNVERIFIED: `hf:` refuses those that transformers gets wrong.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seeds import seeds_of

from harness.models.families import FAMILIES as FOLDERS
from harness.models.families.folder import write
from harness.reference.model.families import FAMILIES

CONTRACT = Path(__file__).resolve().parent.parent / "contracts" / "model" / "checkpoint.yaml"
WELL = ("PARTIAL", "DISCHARGED")
REFUSED = ("FALSIFY-CHECKPOINT-CACHED-001", "UNVERIFIED")


def asked_for(families: str, variants: str) -> Iterator[tuple[str, str]]:
    """(family, variant) of each folder. Raises: SystemExit for an unknown family."""
    for family in families.split(",") if families else FAMILIES:
        if family not in FAMILIES:
            raise SystemExit(f"found family {family!r}, expected one of {', '.join(FAMILIES)}")
        known = list(FOLDERS[family].variants)
        for variant in known[:1] if variants == "first" else known:
            yield family, variant


def run(folder: Path, seed: int, evidence: Path) -> list[dict[str, Any]]:
    """The claims of one run of `hf:` on the folder."""
    words = ["run", str(CONTRACT), "--candidate", f"hf:{folder}", "--seed", str(seed), "--evidence", str(evidence)]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--json"], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    return [claim for claim in json.loads(done.stdout)["claims"] if claim["selected"]]


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--families", default="", help="separated by commas; all by default")
    ask.add_argument("--variants", choices=("first", "all"), default="first")
    ask.add_argument("--seeds", type=seeds_of, default=range(1), metavar="FIRST-LAST")
    ask.add_argument("--evidence", type=Path, help="keep the runs here; by default they are thrown away")
    asked = ask.parse_args()
    wrong = ran = 0
    with tempfile.TemporaryDirectory() as name:
        for family, variant in asked_for(asked.families, asked.variants):
            folder = Path(name) / f"{family}-{variant}"
            write(family, folder, variant)
            for seed in asked.seeds:
                began = time.monotonic()
                claims = run(folder, seed, asked.evidence or Path(name) / "evidence")
                killed = sum(mutant["killed"] for claim in claims for mutant in claim["mutants"])
                ends = [(claim, (claim["id"], claim["verdict"])) for claim in claims]
                bad = [claim for claim, end in ends if end[1] not in WELL and end != REFUSED]
                told = ", ".join(f"{c['id'].removeprefix('FALSIFY-')} {c['verdict']}" for c in claims)
                print(
                    f"{family} {variant} seed {seed}: {told}; {killed} mutants killed, {time.monotonic() - began:.0f} s"
                )
                for claim in bad:
                    print(f"  {claim['id']}: {claim['reason']}")
                wrong, ran = wrong + len(bad), ran + len(claims)
                sys.stdout.flush()
    print(f"{ran} claims, {wrong} of them wrong")
    return 0 if ran and not wrong else 1


if __name__ == "__main__":
    raise SystemExit(main())
