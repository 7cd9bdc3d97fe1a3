"""Whole decoders with a cache, wrong in one place each; what is not replaced is the torch candidate's."""

import torch

from harness.candidates.torch.model.decoder import Decoder
from wrong.models.decoding import changed_by, loaded, logits_of, tokens, unchanged
from wrong.version import Version

PLAIN = ("harness.falsifiers.model.decoder:logit_parity",)
CACHED = (*PLAIN, "harness.falsifiers.model.kv_cache:")


def _angles(change):
    """A decoder whose positions are changed before they turn anything."""

    def apply(model):
        right = model._rope
        model._rope = lambda positions, x: right(change(positions), x)

    return changed_by(apply)


def table_of_2048(wrong):
    """Positions wrap at 2,048, where the table of rotations ends."""
    return _angles(lambda positions: positions % 2048 if wrong else positions)


def positions_in_bytes(wrong):
    """Positions are kept in eight bits: token 256 stands where token 0 does."""
    return _angles(lambda positions: positions % 256 if wrong else positions)


def layers_in_the_order_of_names(wrong):
    """Layers are numbered in the order of their names, where layers.10 comes before layers.2."""

    def renamed(config, weights, dtype):
        numbers = range(config["num_hidden_layers"])
        order = sorted(numbers, key=str) if wrong else list(numbers)
        found = dict(weights)
        for new, old in enumerate(order):
            for name in [name for name in weights if name.startswith(f"model.layers.{old}.")]:
                found[name.replace(f"layers.{old}.", f"layers.{new}.")] = weights[name]
        return found

    return changed_by(unchanged, renamed)


def weights_cut_at_load(wrong):
    """float32 weights are cut to bfloat16 at load, not rounded."""

    def cut(config, weights, dtype):
        if not wrong or dtype != "bfloat16":
            return weights
        return {
            name: (torch.as_tensor(w).float().view(torch.int32) & -65536).view(torch.float32)
            for name, w in weights.items()
        }

    return changed_by(unchanged, cut)


def rows_beyond_four(wrong):
    """Rows of the batch are computed four at a time; those left over repeat the first."""

    def apply(model):
        right = model._forward

        def forward(tokens, *rest):
            if wrong and len(tokens) > 4 and len(tokens) % 4:
                tokens = tokens.clone()
                tokens[len(tokens) // 4 * 4 :] = tokens[0]
            return right(tokens, *rest)

        model._forward = forward

    return changed_by(apply)


def first_token_twice(wrong):
    """If a prompt begins with a token twice, the second is taken for a doubled start token and dropped."""

    def apply(model):
        right = model._rope

        def forward(tokens, stage, cache=None, positions=None, hidden=None):
            twice = wrong and tokens.shape[1] > 1 and bool((tokens[:, 0] == tokens[:, 1]).all())
            model._rope = lambda at, x: right((at - 1).clamp_min(0) if twice else at, x)
            return Decoder._forward(model, tokens, stage, cache, positions, hidden)

        model._forward = forward

    return changed_by(apply)


def head_is_tied(wrong):
    """The embedding is the head, whatever the config says."""

    def apply(model):
        model.tied = model.tied or wrong

    return changed_by(apply)


def output_bias_is_dropped(wrong):
    """The bias of the attention's output, which Llama has as an option, is not added."""

    def dropped(config, weights, dtype):
        return {n: w * 0 if wrong and n.endswith("o_proj.bias") else w for n, w in weights.items()}

    return changed_by(unchanged, dropped)


def eps_of_the_last_norm(wrong):
    """The last norm has eps 1e-6, whatever the config says."""

    def apply(model):
        right = model.norm
        last = model.weights["model.norm.weight"]
        model.norm = lambda x, weight, eps: right(x, weight, 1e-6 if wrong and weight is last else eps)

    return changed_by(apply)


def _twice(f, r):
    config, model = loaded(f, r)
    ids = tokens(r, config)
    ids[:, 1] = ids[:, 0]
    return model.logits(ids)


OP = "decoder"


VERSIONS = (
    Version(
        table_of_2048,
        OP,
        logits_of(1, 2050, layers=1),
        "Synthetic: the table has the training length, and is read modulo it",
        rare="positions past 2,047",
        falsifiers=CACHED,
    ),
    Version(
        positions_in_bytes,
        OP,
        logits_of(1, 260, layers=1),
        "Synthetic: a type that fits the tests",
        rare="positions past 255",
        falsifiers=CACHED,
    ),
    Version(
        layers_in_the_order_of_names,
        OP,
        logits_of(layers=12),
        "Synthetic: sorted(names) in a loader; the eleventh layer is the first to be out of place",
        rare="more than ten layers",
        falsifiers=PLAIN,
    ),
    Version(
        weights_cut_at_load,
        OP,
        logits_of(dtype="bfloat16"),
        "Synthetic: the upper half of a float32 is copied",
        falsifiers=(*PLAIN, "harness.falsifiers.model.loading:"),
    ),
    Version(
        rows_beyond_four,
        OP,
        logits_of(5),
        "Synthetic: batches are cut into fours, and the last one is filled up",
        rare="one batch size",
        falsifiers=CACHED,
    ),
    Version(
        first_token_twice,
        OP,
        _twice,
        "Synthetic: a chat template and a tokenizer both add the start token, and the model tries to help",
        rare="a first token twice",
        falsifiers=CACHED,
    ),
    Version(head_is_tied, OP, logits_of(), "Synthetic: the smallest model of a family ties its head", falsifiers=PLAIN),
    Version(
        output_bias_is_dropped,
        OP,
        logits_of(model_type="llama", attention_bias=True),
        "Synthetic: Qwen2 has three biases, and attention_bias means four",
        rare="one option",
        falsifiers=PLAIN,
    ),
    Version(
        eps_of_the_last_norm,
        OP,
        logits_of(rms_norm_eps=1e-2),
        "Synthetic: the last norm is built elsewhere than the others",
        rare="one option",
        falsifiers=PLAIN,
    ),
)
