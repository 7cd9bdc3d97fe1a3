"""Decoders with a cache and with padded batches, wrong in one place each."""

import copy

import torch

from wrong.models.decoders import CACHED, OP
from wrong.models.decoding import changed_by, decoded, prefilled
from wrong.version import Version


def rows_left_sorted(wrong):
    """A padded batch is sorted by length for the prefill and stays in that order."""

    def apply(model):
        right = model.prefill

        def prefill(tokens, lengths=None):
            if lengths is None or not wrong:
                return right(tokens, lengths)
            order = torch.argsort(torch.as_tensor(lengths), descending=True, stable=True)
            return right(tokens[order], torch.as_tensor(lengths)[order])

        model.prefill = prefill

    return changed_by(apply)


def padding_has_positions(wrong):
    """Positions count the padding on the left of a row."""

    def apply(model):
        right = model.prefill

        def prefill(tokens, lengths=None):
            logits, cache = right(tokens, lengths)
            if lengths is None or not wrong:
                return logits, cache
            starts = tokens.shape[1] - torch.as_tensor(lengths)
            shifted = copy.copy(model)
            shifted._rope = lambda positions, x: type(model)._rope(model, positions + starts[:, None] ** 2, x)
            return type(model).prefill(shifted, tokens, lengths)

        model.prefill = prefill

    return changed_by(apply)


def later_pieces_start_at_zero(wrong):
    """The second and later pieces of a prompt are turned as if they began it."""

    def apply(model):
        right = model._rope
        model._rope = lambda positions, x: right(positions - positions[:, :1] if wrong else positions, x)

    return changed_by(apply)


def cache_holds_32(wrong):
    """The cache holds 32 tokens; in decoding the oldest are no longer seen."""

    def apply(model):
        right = model.attend

        def attend(q, k, v, hidden, at):
            if wrong and k.shape[2] > 32 and q.shape[2] < k.shape[2]:
                k, v, hidden = k[:, :, -32:], v[:, :, -32:], hidden[..., -32:]
            return right(q, k, v, hidden, at)

        model.attend = attend

    return changed_by(apply)


def fiftieth_step_repeats(wrong):
    """Every fiftieth decoding step puts out the logits of the step before."""

    def apply(model):
        right, left, calls = model.decode, [], [0]

        def decode(tokens, cache):
            logits, cache = right(tokens, cache)
            calls[0] += 1
            stale = wrong and calls[0] % 50 == 0 and left and left[-1].shape == logits.shape
            out = left[-1].clone() if stale else logits
            left[:] = [logits]
            return out, cache

        model.decode = decode

    return changed_by(apply)


VERSIONS = (
    Version(
        rows_left_sorted,
        OP,
        prefilled,
        "Synthetic: packed sequences want rows by length, and the order is not undone",
        rare="one order of the rows",
        falsifiers=CACHED,
    ),
    Version(padding_has_positions, OP, prefilled, "huggingface/transformers#29075", falsifiers=CACHED),
    Version(
        later_pieces_start_at_zero,
        OP,
        decoded(2),
        "Synthetic: arange(length) where the cache's length is to be added",
        falsifiers=CACHED,
    ),
    Version(
        cache_holds_32,
        OP,
        decoded(30),
        "Synthetic: a ring whose size was chosen for a demonstration",
        rare="one length",
        falsifiers=CACHED,
    ),
    Version(
        fiftieth_step_repeats,
        OP,
        decoded(51),
        "Synthetic: an output buffer is read before the kernel that fills it has ended",
        rare="one call in fifty",
        falsifiers=CACHED,
    ),
)
