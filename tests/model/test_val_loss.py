"""Losses and the text they are taken on: figures against torch, planted corpora, and the claims themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.candidates.torch.model.evaluate import evaluate
from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.baselines import corpora
from harness.falsifiers.baselines.transformers import loss
from harness.falsifiers.inputs.documents import NoHeldOutText, documents
from harness.falsifiers.inputs.synthetic_model import small_config
from harness.falsifiers.model import corpus
from harness.falsifiers.model.corpus import held_out_text
from harness.falsifiers.model.logit_shape import _root_mean_square
from harness.falsifiers.model.mutants import corpus as corpus_mutants
from harness.falsifiers.model.val_loss import _counted, _windows, token_losses
from harness.models import tokenizer
from harness.mutant import mutants_of
from harness.observation import Observation
from harness.reference.random_weights import random_weights
from tests.support.cpu_boundary import boundary
from tests.support.laboratory import judged

MUTANTS = mutants_of(corpus_mutants)

TEXTS = {f"part{i}.py": "".join(f"def f{i}_{n}(x):\n    return x + {n * i}\n" for n in range(40)) for i in range(12)}
SPLIT = """
from pathlib import Path
from types import SimpleNamespace

def split():
    root = Path(__file__).parent / "texts"
    return SimpleNamespace(root=root, train={train!r}, held_out={held_out!r})
"""
NGRAM = 16


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tokenizer and a record of what was held out, and a module `tiny_corpus` with the split."""
    names = sorted(TEXTS)
    (tmp_path / "texts").mkdir()
    for name in names:
        (tmp_path / "texts" / name).write_text(TEXTS[name], encoding="utf-8")
    held_out, train = tuple(names[:3]), tuple(names[3:])
    (tmp_path / "tiny_corpus.py").write_text(SPLIT.format(train=train, held_out=held_out), encoding="utf-8")
    tokenizer.save(tokenizer.train(TEXTS.values(), 400), tmp_path, model_max_length=128)
    (tmp_path / "recipe.json").write_text(json.dumps({"held_out_files": held_out}), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "tiny_corpus", raising=False)
    documents.cache_clear()
    return tmp_path


def checked(folder: Path, target: Any = corpora) -> dict[str, float]:
    seen: Observation = held_out_text(
        boundary(target), Case(), weights=str(folder), corpus="tiny_corpus:split", ngram=NGRAM
    )
    return seen.scalars


def test_a_sound_corpus_has_no_unknowns_and_shares_no_names(folder: Path) -> None:
    seen = checked(folder)
    assert seen["unknown_share"] == seen["train_unknown_share"] == seen["shared_files"] == 0
    assert seen["distinct_tokens"] > 20
    assert seen["shared_ngram_share"] < 0.5
    assert set(seen) == set(corpus.MEASURES)


@pytest.mark.parametrize(
    ("name", "measure", "least"),
    [
        ("almost_all_unknown", "unknown_share", 0.99),
        ("almost_all_unknown", "top_token_share", 0.99),
        ("training_text_unknown", "train_unknown_share", 1.0),
        ("evaluated_on_training_text", "shared_files", 3),
        ("evaluated_on_training_text", "shared_ngram_share", 1.0),
        ("held_out_copied_into_training", "shared_ngram_share", 1.0),
        ("one_name_on_both_sides", "shared_files", 1),
    ],
)
def test_a_wrong_corpus_shows_in_its_own_measure(folder: Path, name: str, measure: str, least: float) -> None:
    assert checked(folder)[measure] < least <= checked(folder, MUTANTS[name](corpora))[measure]


@pytest.mark.parametrize(
    ("name", "measure", "most"), [("few_tokens_repeated", "distinct_tokens", 6), ("cut_short", "held_out_tokens", 6)]
)
def test_a_poor_corpus_shows_in_its_own_measure(folder: Path, name: str, measure: str, most: int) -> None:
    assert checked(folder)[measure] > most >= checked(folder, MUTANTS[name](corpora))[measure]


def test_an_empty_corpus_has_no_share_that_a_limit_could_accept(folder: Path) -> None:
    class Empty:
        @staticmethod
        def corpus(tokenizer: str, train: Any, held_out: Any) -> dict[str, Any]:
            return {"train": {}, "held_out": {}, "unknown": -1}

    seen = checked(folder, Empty)
    assert math.isnan(seen["unknown_share"])
    assert math.isnan(seen["shared_ngram_share"])
    assert seen["held_out_tokens"] == 0


def test_the_unknown_token_is_found_where_there_is_one(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    assert corpora.unknown(str(folder / "tokenizer.json")) == -1
    words = Tokenizer(models.WordLevel({"def": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "words").mkdir()
    words.save(str(folder / "words" / "tokenizer.json"))
    (folder / "words" / "recipe.json").write_bytes((folder / "recipe.json").read_bytes())
    assert corpora.unknown(str(folder / "words" / "tokenizer.json")) == 1
    assert checked(folder / "words")["unknown_share"] > 0.5


def test_a_folder_that_does_not_say_what_it_saw_is_unverified(folder: Path) -> None:
    (folder / "recipe.json").write_text(json.dumps({"held_out_files": ["other.py"]}), encoding="utf-8")
    with pytest.raises(NoHeldOutText, match="lists 1 files that differ from the 3 of tiny_corpus:split") as other:
        documents(str(folder), "tiny_corpus:split")
    assert other.value.unsupported
    (folder / "recipe.json").unlink()
    with pytest.raises(NoHeldOutText, match="no held_out_files"):
        documents(str(folder), "tiny_corpus:split")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(NoHeldOutText, match=r"tokenizer\.json"):
        corpus.tokenizer_of(str(folder))


def test_long_ngrams_are_found_by_value_and_only_by_value() -> None:
    ids = np.arange(100)
    seen = corpus._hashes(ids, 8)
    assert len(np.unique(seen)) == len(seen) == 93
    assert corpus._hashes(ids[40:48], 8).tolist() == [seen[40]]
    changed = ids[40:48].copy()
    changed[3] += 1
    assert corpus._hashes(changed, 8)[0] not in seen
    swapped = ids[40:48].copy()
    swapped[[1, 2]] = swapped[[2, 1]]
    assert corpus._hashes(swapped, 8)[0] not in seen
    assert corpus._among(seen[:5], seen[3:]).tolist() == sorted(seen[3:5])
    assert corpus._hashes(ids[:7], 8).size == 0
    with pytest.raises(UserError, match="found 12, expected a power of two"):
        corpus._hashes(ids, 12)


def test_windows_stay_within_a_file_and_too_many_are_refused(folder: Path) -> None:
    rows = _windows(str(folder), "tiny_corpus:split", 5, 32)
    held_out = documents(str(folder), "tiny_corpus:split")[1]
    encoded = corpora.encode(str(folder / "tokenizer.json"), tuple(held_out.values()))
    allowed = {tuple(ids[i : i + 32]) for ids in encoded for i in range(0, ids.size - 31, 32)}
    assert rows.shape == (5, 32)
    assert {tuple(row) for row in rows} <= allowed
    with pytest.raises(UserError, match="rows: found 100000, but the held-out text has"):
        _windows(str(folder), "tiny_corpus:split", 100_000, 32)


def test_token_losses_are_torchs_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    logits, tokens = 30 * rng.standard_normal((3, 9, 17)), rng.integers(0, 17, (3, 9))
    want = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits[:, :-1]).flatten(0, 1), torch.from_numpy(tokens[:, 1:]).flatten(), reduction="none"
    )
    np.testing.assert_allclose(token_losses(logits, tokens).ravel(), want.numpy(), rtol=1e-12, atol=1e-12)


def test_candidate_and_baseline_report_the_same_loss() -> None:
    config = small_config()
    weights = {name: torch.from_numpy(w).float() for name, w in random_weights(config, 1).items()}
    tokens = torch.randint(0, config["vocab_size"], (6, 12), generator=torch.Generator().manual_seed(0))
    targets = tokens.roll(-1, dims=1)
    targets[3:, 4:] = -100
    batches = [(tokens[:3], targets[:3]), (tokens[3:], targets[3:])]
    kind = {"dtype": "float32", "device": "cpu"}
    got, want = (f(config, weights, batches, **kind) for f in (evaluate, loss.evaluate))
    assert got["tokens"] == want["tokens"] == 36 + 12
    assert got["ln_vocab"] == want["ln_vocab"] == math.log(67)
    assert got["val_loss"] == pytest.approx(want["val_loss"], abs=1e-5)
    with pytest.raises(ValueError, match="no target to count"):
        evaluate(config, weights, [(tokens, torch.full_like(targets, -100))], **kind)


def test_batches_count_unequal_numbers_of_targets() -> None:
    counted = _counted(8, 2, 25)
    assert counted.tolist() == [24, 24, 8, 8, 4, 4, 3, 3]


def test_the_initial_loss_claim_survives_on_torch(tmp_path: Path) -> None:
    found = judged("FALSIFY-INITIAL-LOSS-001", tmp_path)
    assert found.verdict.value == "PARTIAL", found.reason
    assert "weak" not in found.reason


SHARPENED = """
from types import SimpleNamespace
from harness.candidates import torch as right
ARRAYS = "torch"
def load(config, weights, *, dtype, device):
    model = right.load(config, weights, dtype=dtype, device=device)
    return SimpleNamespace(logits=lambda tokens: model.logits(tokens) * 20)
"""


def test_the_initial_loss_claim_falsifies_logits_twenty_times_too_large(tmp_path: Path) -> None:
    found = judged("FALSIFY-INITIAL-LOSS-001", tmp_path, SHARPENED)
    assert found.verdict.value == "FALSIFIED"
    assert any(v["measure"] == "nats_above_uniform" for v in found.violated)


def test_root_mean_square() -> None:
    assert _root_mean_square(np.array([3.0, 4.0])) == pytest.approx(math.sqrt(12.5))
