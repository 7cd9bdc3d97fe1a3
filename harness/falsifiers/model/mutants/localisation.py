"""Known-wrong localisation: localisers that blame the wrong stage, and decoders whose stages do not tell the truth."""

from __future__ import annotations

from typing import Any

from harness.mutant import mutant, replace

LIMIT_U = 64


@mutant
def blame_the_last_stage(baseline: Any) -> Any:
    """Only the end of the forward is compared, so the logits are named whatever went wrong (system D7)."""

    def convicted(alone: dict[str, float], through: dict[str, float]) -> dict[str, Any]:
        bad = [name for name in list(through)[-1:] if through[name] > LIMIT_U]
        return {"first_divergent": bad[0] if bad else None, "independently_bad": bad}

    return replace(baseline, convicted=convicted)


@mutant
def blame_the_inherited_error(baseline: Any) -> Any:
    """Stages are not fed the reference's inputs: all that lies behind the fault is called bad (system D7)."""

    def convicted(alone: dict[str, float], through: dict[str, float]) -> dict[str, Any]:
        bad = [name for name, error in through.items() if error > LIMIT_U]
        return {"first_divergent": bad[0] if bad else None, "independently_bad": bad}

    return replace(baseline, convicted=convicted)


@mutant
def threshold_too_loose(baseline: Any) -> Any:
    """A tolerance at which nothing is ever named (system D7)."""
    return replace(baseline, convicted=lambda alone, through: _above(1e9, alone))


@mutant
def threshold_inside_round_off(baseline: Any) -> Any:
    """A tolerance at which correct stages are named too (system D7)."""
    return replace(baseline, convicted=lambda alone, through: _above(0.25, alone))


@mutant
def stops_at_the_first(baseline: Any) -> Any:
    """The first bad stage is reported, a second fault behind it is not looked for (system D7)."""

    def convicted(alone: dict[str, float], through: dict[str, float]) -> dict[str, Any]:
        found = _above(LIMIT_U, alone)
        return {**found, "independently_bad": found["independently_bad"][:1]}

    return replace(baseline, convicted=convicted)


@mutant
def replacement_ignored(baseline: Any) -> Any:
    """`stages` takes `replace` and does nothing with it, so no stage is ever on its own (system D7)."""
    return _staging(baseline, lambda stages, tokens, given: stages(tokens))


@mutant
def replacement_reported(baseline: Any) -> Any:
    """A replaced stage reports what it was given, not what it computed: no fault can show (system D7)."""
    return _staging(baseline, lambda stages, tokens, given: {**stages(tokens, given), **given})


def _above(limit: float, alone: dict[str, float]) -> dict[str, Any]:
    bad = [name for name, error in alone.items() if error > limit]
    return {"first_divergent": bad[0] if bad else None, "independently_bad": bad}


def _staging(baseline: Any, wrong: Any) -> Any:
    """The baseline whose decoders answer `stages` by `wrong(stages, tokens, replacements)`."""

    def load(config: dict[str, Any], weights: dict[str, Any], *, dtype: str, device: str) -> Any:
        decoder = baseline.load(config, weights, dtype=dtype, device=device)
        return replace(decoder, stages=lambda tokens, replace=None: wrong(decoder.stages, tokens, dict(replace or {})))

    return replace(baseline, load=load)
