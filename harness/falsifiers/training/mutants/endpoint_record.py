"""Trainers whose checkpoint is not the model they trained, or whose history is not what happened (A6, A8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.mutant import mutant, replace

HEAD = "lm_head.weight"
Weights = dict[str, Tensor]
Said = dict[str, Any]


@mutant
def loader_re_randomises(baseline: Any) -> Any:
    """The head's key matches nothing on loading, and a fresh head takes its place (system A6)."""
    return _loaded(baseline, lambda config, weights: (config, {**weights, HEAD: _fresh(weights[HEAD])}))


@mutant
def inference_with_a_fresh_head(baseline: Any) -> Any:
    """The loaded weights are whole, and the model that answers was built without them (system A6)."""

    def load(config: Any, weights: Weights, *, dtype: str, device: str) -> Any:
        # Only weights that come from a file are lost: they are not the tensors that were trained.
        fresh = {**weights, HEAD: _fresh(weights[HEAD])} if config.get("from_file") else weights
        return baseline.load({k: v for k, v in config.items() if k != "from_file"}, fresh, dtype=dtype, device=device)

    return replace(_loaded(baseline, lambda config, weights: ({**config, "from_file": True}, weights)), load=load)


@mutant
def loader_restores_default_eps(baseline: Any) -> Any:
    """The loader builds its config from defaults, so eps is 1e-5 whatever the file says (system D, A6)."""
    return _loaded(baseline, lambda config, weights: ({**config, "rms_norm_eps": 1e-5}, weights))


@mutant
def saved_untrained(baseline: Any) -> Any:
    """The weights the trainer was given are written, not the ones it has (system A6)."""
    return _resaved(baseline, lambda config, said, weights: (config, weights))


@mutant
def saved_in_bfloat16(baseline: Any) -> Any:
    """The trained weights are rounded to bfloat16 on their way to the file, and called the same (system A6)."""

    def rounded(config: Any, said: Said, weights: Weights) -> tuple[Any, Weights]:
        return config, {name: w.to(torch.bfloat16).to(w.dtype) for name, w in said["weights"].items()}

    return _resaved(baseline, rounded)


@mutant
def config_saved_with_defaults(baseline: Any) -> Any:
    """config.json is written from the class's defaults: theta and eps are others (system A6, E1)."""

    def defaults(config: Any, said: Said, weights: Weights) -> tuple[Any, Weights]:
        rope = {"rope_type": "default", "rope_theta": 10000.0}
        return {**config, "rms_norm_eps": 1e-5, "rope_parameters": rope}, said["weights"]

    return _resaved(baseline, defaults)


@mutant
def last_checkpoint_only(baseline: Any) -> Any:
    """Periodic checkpoints are promised, and one appears at the end (system A8)."""

    def train_endpoint(
        config: Any, weights: Weights, batches: Any, *, folder: str, save_every: int, **options: Any
    ) -> Said:
        return dict(
            baseline.train_endpoint(config, weights, batches, folder=folder, save_every=len(batches), **options)
        )

    return _context(baseline, train_endpoint)


@mutant
def grad_norm_never_populated(baseline: Any) -> Any:
    """The history has the key, and nobody writes to it (system A8)."""
    return _saying(baseline, lambda said: {**said, "grad_norms": []})


@mutant
def speed_never_populated(baseline: Any) -> Any:
    """The timer is never read, and a report shows the last run's tokens/s (system A8)."""
    return _saying(baseline, lambda said: {k: v for k, v in said.items() if k != "tokens_per_s"})


@mutant
def grad_norm_of_the_first_step(baseline: Any) -> Any:
    """The norm is taken once and written at every step: a flat curve that looks stable (system A8; T8)."""
    return _saying(baseline, lambda said: {**said, "grad_norms": said["grad_norms"][:1] * len(said["grad_norms"])})


@mutant
def one_entry_per_epoch(baseline: Any) -> Any:
    """The last step of each epoch is recorded and the others are not (system A8)."""
    return _saying(baseline, lambda said: {k: v[-1:] if isinstance(v, list) else v for k, v in said.items()})


@mutant
def perplexity_in_base_two(baseline: Any) -> Any:
    """2**loss for a loss in nats (hsgodhia/hred#10)."""
    return _saying(baseline, lambda said: {**said, "perplexities": [2**loss for loss in said["losses"]]})


@mutant
def loss_smoothed(baseline: Any) -> Any:
    """A running mean is recorded as the loss: a bad step does not show (T7: huggingface/trl#6702)."""

    def smooth(said: Said) -> Said:
        losses = said["losses"]
        running = [sum(losses[: i + 1]) / (i + 1) for i in range(len(losses))]
        return {**said, "losses": running, "perplexities": [math.exp(loss) for loss in running]}

    return _saying(baseline, smooth)


@mutant
def lr_of_the_next_run(baseline: Any) -> Any:
    """The recorded lr is the schedule's and not the optimiser's (system A8)."""
    return _saying(baseline, lambda said: {**said, "lrs": [lr * 0.1 for lr in said["lrs"]]})


@mutant
def speed_in_rows(baseline: Any) -> Any:
    """Rows are divided by the time where tokens are meant (system A8): 32 times too slow here."""
    return _saying(baseline, lambda said: {**said, "tokens_per_s": [v / 32 for v in said["tokens_per_s"]]})


@mutant
def speed_of_all_epochs(baseline: Any) -> Any:
    """The tokens of the whole run over the time of one step (system A8)."""
    return _saying(baseline, lambda said: {**said, "tokens_per_s": [1e3 * v for v in said["tokens_per_s"]]})


def _fresh(tensor: Tensor) -> Tensor:
    return (0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))).to(tensor)


def _loaded(baseline: Any, edit: Callable[[Any, Weights], tuple[Any, Weights]]) -> Any:
    return replace(baseline, load_checkpoint=lambda folder: edit(*baseline.load_checkpoint(folder)))


def _resaved(baseline: Any, edit: Callable[[Any, Said, Weights], tuple[Any, Weights]]) -> Any:
    """The last checkpoint written again as `edit(config, what the training said, first weights)` would have it."""

    def train_endpoint(
        config: Any, weights: Weights, batches: Any, *, folder: str, save_every: int, **options: Any
    ) -> Said:
        said = baseline.train_endpoint(config, weights, batches, folder=folder, save_every=save_every, **options)
        baseline.save_checkpoint(str(Path(folder) / f"step-{len(batches)}"), *edit(config, said, weights))
        return dict(said)

    return _context(baseline, train_endpoint)


def _saying(baseline: Any, edit: Callable[[Said], Said]) -> Any:
    def train_endpoint(config: Any, weights: Weights, batches: Any, **options: Any) -> Said:
        return edit(baseline.train_endpoint(config, weights, batches, **options))

    return _context(baseline, train_endpoint)


def _context(baseline: Any, train: Callable[..., Said]) -> Any:
    """The boundary hands dtype and device to functions that name them."""

    def train_endpoint(config: Any, weights: Weights, batches: Any, *, dtype: str, device: str, **options: Any) -> Said:
        return train(config, weights, batches, dtype=dtype, device=device, **options)

    return replace(baseline, train_endpoint=train_endpoint)
