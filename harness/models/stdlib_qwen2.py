"""A small Qwen2, trained on first use on the source of the machine's own Python standard library.

`python -m harness.models.stdlib_qwen2` builds it if it is missing, and prints the folder and its figures.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.models import cache, corpus, tokenizer
from harness.models.functions import FUNCTIONS, sequences
from harness.models.progress import progress
from harness.models.recall import forgotten
from harness.models.recipe import Recipe
from harness.models.train import Rows, cut, loss_of, new_model, pad, train

PROVENANCE = "recipe.json"

NOTICE = """\
Weights and tokenizer trained by this project's `models` package on the source text of the
Python standard library (CPython {python}), as installed on the machine that built this folder.

That text is Copyright (c) 2001 Python Software Foundation and its contributors, and is used
under the Python Software Foundation License Version 2 (https://docs.python.org/3/license.html).
The {functions} short functions learnt by heart were written for this project.
Which files were used, and how: {provenance}.
"""


def build(cache_root: Path | None = None, *, recipe: Recipe | None = None) -> Path:
    """The checkpoint folder; build it (about two minutes on two idle cores) if it is missing or damaged.

    The folder's name holds a hash of everything that determines its content: recipe, sources of
    this package, Python and torch.
    Raises: UserError if the cache cannot be written or the standard library has no sources.
    """
    recipe = recipe or Recipe()
    folder = Path(cache_root or cache.root()) / f"stdlib-qwen2-{key(recipe)}"
    return cache.get(folder, partial(_make, recipe))


def held_out(folder: Path) -> list[Path]:
    """The standard library's files on which the model in `folder` was not trained.

    Raises: UserError if `build` did not make the folder, or the standard library has other files now.
    """
    facts = provenance(folder)
    files = corpus.split()
    if list(files.held_out) != facts["held_out_files"]:
        raise UserError(
            f"{files.root}: found {len(files.held_out)} held-out files, which differ from the "
            f"{len(facts['held_out_files'])} in {folder / PROVENANCE}; use the Python that built it ({facts['python']})"
        )
    return [files.root / path for path in files.held_out]


def provenance(folder: Path) -> dict[str, Any]:
    """The folder's recipe and measured figures."""
    path = Path(folder) / PROVENANCE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as problem:
        raise UserError(f"{path}: cannot be read ({problem}); expected a folder made by models.stdlib_qwen2") from None


def key(recipe: Recipe) -> str:
    """First 12 hex digits of SHA-256 over the recipe, this package's sources, Python's and torch's version."""
    here = Path(__file__).parent
    sources = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(here.glob("*.py"))}
    decides = {
        "recipe": recipe.as_dict(),
        "sources": sources,
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]


def _make(recipe: Recipe, folder: Path) -> None:
    """Fill the empty `folder` with the checkpoint."""
    import torch

    began = time.monotonic()
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    try:
        files = corpus.split()
        paths = files.train[: recipe.files]
        texts = corpus.read(files.root, paths)
        words = tokenizer.train([*texts, *(text for f in FUNCTIONS for text in sequences(f))], recipe.tokens)
        tokenizer.save(words, folder, model_max_length=recipe.max_positions)
        rows = _rows(words, texts, corpus.read(files.root, files.held_out), recipe)
        model = _new(words, recipe)
        with progress("training stdlib-qwen2 (once)", recipe.steps) as report:
            losses = train(model, rows, recipe, report)
        _save(model, folder, recipe)
        figures = {
            "final_train_loss": sum(losses[-50:]) / len(losses[-50:]),
            "held_out_loss": loss_of(model, rows.held_out),
            "memory_loss": loss_of(model, rows.memory),
            "ln_vocab": math.log(recipe.rows),
            **_sizes(model, rows, words, recipe),
            **_recall(folder),
            "training_files": len(paths),
            "corpus_sha256": corpus.digest(paths, texts),
            "held_out_files": list(files.held_out),
            "threads": torch.get_num_threads(),
            "seconds": round(time.monotonic() - began, 1),
        }
    finally:
        torch.set_num_threads(threads)
    _describe(folder, recipe, figures)


def _rows(words: Any, texts: list[str], held_out_texts: list[str], recipe: Recipe) -> Rows:
    end = words.token_to_id(tokenizer.END_OF_TEXT)
    encoded = [[item.ids for item in words.encode_batch(part)] for part in (texts, held_out_texts)]
    memory = [item.ids for item in words.encode_batch([text for f in FUNCTIONS for text in sequences(f)])]
    return Rows(
        text=cut(encoded[0], end, recipe.window),
        memory=pad(memory, recipe.window),
        held_out=cut(encoded[1], end, recipe.window)[: recipe.held_out_rows],
    )


def _new(words: Any, recipe: Recipe) -> Any:
    end, turn_end = (words.token_to_id(token) for token in (tokenizer.END_OF_TEXT, tokenizer.TURN_END))
    model = new_model(recipe, bos_token_id=end, eos_token_id=turn_end, pad_token_id=end)
    generation = model.generation_config
    generation.bos_token_id, generation.pad_token_id, generation.eos_token_id = end, end, [turn_end, end]
    generation.do_sample = False
    return model


def _save(model: Any, folder: Path, recipe: Recipe) -> None:
    """Write config.json, generation_config.json and model.safetensors."""
    from safetensors.torch import save_file

    config = {
        **model.config.to_diff_dict(),
        **recipe.config(),
        "architectures": [type(model).__name__],
        "dtype": "float32",
        # transformers 5 writes only rope_parameters; most other readers expect the older key.
        "rope_theta": recipe.rope_theta,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    model.generation_config.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights, {"format": "pt"})
    weights.chmod(0o644)


def _sizes(model: Any, rows: Rows, words: Any, recipe: Recipe) -> dict[str, Any]:
    parameters = sum(p.numel() for p in model.parameters())
    return {
        "parameters": parameters,
        "tokens": words.get_vocab_size(),
        "tokens_in_corpus": rows.text.numel(),
        "tokens_seen": recipe.tokens_seen,
        "tokens_per_parameter": recipe.tokens_seen / parameters,
    }


def _recall(folder: Path) -> dict[str, Any]:
    lost = forgotten(folder)
    kept = {form: len(FUNCTIONS) - len(names) for form, names in lost.items()}
    return {"functions": len(FUNCTIONS), "memorised": kept, "forgotten": lost}


def _describe(folder: Path, recipe: Recipe, figures: dict[str, Any]) -> None:
    """Write recipe.json and LICENSE."""
    versions = {name: version(name) for name in ("torch", "transformers", "tokenizers")}
    facts = {"recipe": recipe.as_dict(), "python": platform.python_version(), **versions, **figures}
    (folder / PROVENANCE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    notice = NOTICE.format(python=platform.python_version(), functions=len(FUNCTIONS), provenance=PROVENANCE)
    (folder / "LICENSE").write_text(notice, encoding="utf-8")


def main() -> int:
    """Build the default model and print its folder and figures."""
    try:
        folder = build()
    except UserError as problem:
        print(problem, file=sys.stderr)
        return problem.code
    print(folder)
    for name, value in provenance(folder).items():
        if name not in ("recipe", "held_out_files"):
            print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
