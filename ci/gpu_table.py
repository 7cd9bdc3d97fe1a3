"""The table of `ci/gpu.sh`: one row per part, from the evidence that it left."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.judging.verdict import Verdict

PARTIAL = ".partial"
ATTEMPTS = "attempts.json"
"""In a part's folder: the exit code and the seconds of each time it was started."""
HEAD = "| part | what | state | claims | verdicts | worst ratios | mutants not killed | NOT RUN | seconds |"


def row(name: str, title: str, folder: Path) -> dict[str, Any]:
    """One part's row from its folder: a sealed run, an unfinished one, a finished command, or nothing yet.

    The verdicts, ratios and mutants of an unfinished run are those of the claims that ended.
    """
    attempts = read(folder / ATTEMPTS) or []
    seconds = round(sum(each["seconds"] for each in attempts), 1)
    found = {"part": name, "title": title, "state": "not begun", "seconds": seconds, "evidence": None, **_of([])}
    run = newest(folder)
    if run is not None:
        body = read(run / "run.json") or {}
        sealed = not run.name.endswith(PARTIAL)
        claims = [claim for claim in body.get("claims", []) if claim["selected"]] if sealed else _ended(run)
        found |= {"state": "sealed" if sealed else "unfinished", "evidence": run.name, **_of(claims)}
        found |= {"device": body.get("device"), "facts": body.get("host", {}).get("device")}
    last = attempts[-1] if attempts else {"code": 0, "state": None, "line": ""}
    if last["state"] and found["state"] != "sealed":
        found["state"] = last["state"]
    return {**found, "code": last["code"], "line": last["line"]}


def newest(folder: Path) -> Path | None:
    """The newest sealed run of a part, else its newest unfinished run."""
    runs = sorted(path.parent for path in folder.glob("*/run.json"))
    sealed = [run for run in runs if (run / "manifest.json").is_file() and not run.name.endswith(PARTIAL)]
    unfinished = [run for run in runs if run.name.endswith(PARTIAL)]
    return next(reversed(sealed or unfinished), None)


def read(path: Path) -> Any:
    """The JSON of a file, None if there is none or if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _ended(run: Path) -> list[dict[str, Any]]:
    """The results of an unfinished run's ended claims."""
    results = ((path.parent.name, read(path)) for path in sorted((run / "claims").glob("*/result.json")))
    return [{"id": name, **result} for name, result in results if result]


def _of(claims: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "claims": len(claims),
        "verdicts": dict(sorted(Counter(claim["verdict"] for claim in claims).items())),
        "ratios": ratios(claims),
        "alive": _mutants(claims, lambda m: not m["killed"] and m["status"] not in ("inapplicable", "not_run")),
        "not_run": _mutants(claims, lambda m: m["status"] == "not_run"),
        "red": {c["id"]: c["reason"] for c in claims if Verdict(c["verdict"]).red},
    }


def _mutants(claims: Iterable[Mapping[str, Any]], wanted: Any) -> list[str]:
    return [f"{claim['id']}: {mutant['name']}" for claim in claims for mutant in claim["mutants"] if wanted(mutant)]


def ratios(claims: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Measurement -> dtype -> the worst value and its claim: the largest ratio, or the smallest share `..._of_...`."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for claim in claims:
        for measure, values in claim["measurements"].items():
            share = "_of_" in measure
            if not share and "ratio" not in measure:
                continue
            for dtype, value in values.items():
                held = found.setdefault(measure, {}).get(dtype)
                if held is None or _worse(value, held["value"], share):
                    found[measure][dtype] = {"value": value, "claim": claim["id"]}
    return found


def _worse(value: Any, than: Any, smallest: bool) -> bool:
    """Whether a value is worse; text, which stands for a value that is not finite, is worst."""
    if isinstance(value, str) or isinstance(than, str):
        return isinstance(value, str)
    return value < than if smallest else value > than


def markdown(rows: list[dict[str, Any]], facts: Mapping[str, Any]) -> str:
    """The whole page: facts, the table, and every red claim with its reason."""
    lines = ["# Run on a device", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += [HEAD, "|---" * HEAD.count(" |") + "|", *map(_line, rows)]
    red = [f"- {r['part']}: {claim}: {why}" for r in rows for claim, why in r["red"].items()]
    said = [f"- {r['part']}: {r['line']}" for r in rows if r["line"]]
    for title, entries in (("Red claims", red), ("What parts said", said)):
        if entries:
            lines += ["", f"## {title}", "", *entries]
    return "\n".join(lines) + "\n"


def _line(r: dict[str, Any]) -> str:
    worst = [
        f"{measure} {_number(entry['value'])} ({dtype}, {entry['claim'].removeprefix('FALSIFY-')})"
        for measure, by_dtype in sorted(r["ratios"].items())
        for dtype, entry in sorted(by_dtype.items())
    ]
    cells = [
        *(r["part"], r["title"], r["state"], str(r["claims"])),
        ", ".join(f"{count} {verdict}" for verdict, count in r["verdicts"].items()),
        "; ".join(worst),
        "; ".join(r["alive"]),
        "; ".join(r["not_run"]),
        f"{r['seconds']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def write(out: Path, rows: list[dict[str, Any]], facts: Mapping[str, Any]) -> str:
    """Write summary.json and summary.md, each by a rename; returns the page."""
    page = markdown(rows, facts)
    replace(out / "summary.json", json.dumps({"facts": dict(facts), "parts": rows}, indent=1) + "\n")
    replace(out / "summary.md", page)
    return page


def replace(path: Path, text: str) -> None:
    """Write a file so that a kill leaves the old text or the new one."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
