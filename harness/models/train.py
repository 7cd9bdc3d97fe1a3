"""Train transformers' Qwen2ForCausalLM with torch's AdamW on rows of text, in an order that the seed determines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.models.recipe import Recipe

IGNORED = -100
"""Label that transformers' loss ignores."""


@dataclass(frozen=True)
class Rows:
    """Token ids as torch tensors (rows, T): text, functions padded with IGNORED, held-out text."""

    text: Any
    memory: Any
    held_out: Any


def cut(documents: Sequence[Sequence[int]], end: int, window: int) -> Any:
    """Join documents with `end` between them and cut the stream into rows.

    Shapes: ids of any lengths -> (rows, window) int64; an incomplete last row is dropped.
    """
    import torch

    stream = torch.tensor([token for ids in documents for token in (*ids, end)], dtype=torch.int64)
    return stream[: len(stream) // window * window].reshape(-1, window)


def pad(documents: Sequence[Sequence[int]], window: int) -> Any:
    """One row per document, which starts at position 0; the rest is IGNORED.

    Shapes: ids of lengths <= window -> (rows, window) int64.
    Raises: ValueError for a longer document, whose end would never be trained.
    """
    import torch

    longest = max(map(len, documents))
    if longest > window:
        raise ValueError(f"found a sequence of {longest} tokens, expected at most {window} (Recipe.window)")
    rows = torch.full((len(documents), window), IGNORED)
    for row, ids in zip(rows, documents, strict=True):
        row[: len(ids)] = torch.tensor(list(ids))
    return rows


def new_model(recipe: Recipe, **token_ids: int) -> Any:
    """An untrained Qwen2ForCausalLM with biases other than 0 and norm gains other than 1."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    rope = {"rope_type": "default", "rope_theta": recipe.rope_theta}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = Qwen2ForCausalLM(
            Qwen2Config(
                **recipe.config(),
                rope_parameters=rope,
                initializer_range=recipe.weight_std,
                tie_word_embeddings=False,
                **token_ids,
            )
        )
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith("bias"):
                    weight.normal_(0, recipe.bias_std)
                elif name.endswith("norm.weight"):
                    weight.uniform_(1 - recipe.gain_spread, 1 + recipe.gain_spread)
                elif name.endswith("embed_tokens.weight"):
                    weight.normal_(0, recipe.embedding_std)
    return model.float()


def train(model: Any, rows: Rows, recipe: Recipe, report: Callable[[int, float], None]) -> list[float]:
    """Run `recipe.steps` AdamW steps with linear warm-up and decay; return the loss of each step, in nats.

    `report(step, loss)` is called after each step. Biases and gains have no weight decay.
    Source: torch.optim.AdamW (arXiv:1711.05101).
    """
    import torch

    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=recipe.lr, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    losses = []
    model.train()
    for step, batch in enumerate(_batches(rows, recipe), start=1):
        loss = model(input_ids=batch.clamp(min=0), labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        report(step, losses[-1])
    return losses


def loss_of(model: Any, rows: Any, *, at_once: int = 32) -> float:
    """Mean next-token loss over all predicted positions of (rows, T), in nats per token."""
    import torch

    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for batch in rows.split(at_once):
            predicted = int((batch[:, 1:] != IGNORED).sum())
            total += model(input_ids=batch.clamp(min=0), labels=batch).loss.item() * predicted
            count += predicted
    return total / count


def _rate(step: int, recipe: Recipe) -> float:
    """Fraction of the full learning rate at `step`, which counts from 0."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return (recipe.steps - step) / (recipe.steps - recipe.warmup)


def _batches(rows: Rows, recipe: Recipe) -> Iterator[Any]:
    import torch

    generator = torch.Generator().manual_seed(recipe.seed)
    text = _endless(rows.text, generator)
    memory = _endless(rows.memory, generator)
    for _ in range(recipe.steps):
        chosen = [next(text) for _ in range(recipe.text_rows)] + [next(memory) for _ in range(recipe.memory_rows)]
        yield torch.stack(chosen)


def _endless(rows: Any, generator: Any) -> Iterator[Any]:
    """Yield every row once in a random order, then again in another, without end."""
    import torch

    while True:
        for index in torch.randperm(len(rows), generator=generator).tolist():
            yield rows[index]
