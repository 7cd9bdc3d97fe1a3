"""Whole decoders with a cache, wrong in one place each; what is not replaced is the torch candidate's."""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import torch

import harness.candidates.torch as eager
from harness.candidates.torch.model._shapes import shapes_of
from harness.candidates.torch.model.decoder import Decoder
from wrong.version import Version, normal

PLAIN = ("harness.falsifiers.model.decoder:logit_parity",)
CACHED = (*PLAIN, "harness.falsifiers.model.kv_cache:")


def _loader(change: Callable[[Decoder], None], before=lambda config, weights, dtype: weights):
    """A subject whose loaded decoders are changed by `change`, their weights by `before`."""

    def load(config, weights, *, lora=None, dtype, device):
        model = eager.load(config, before(config, weights, dtype), lora=lora, dtype=dtype, device=device)
        if isinstance(model, Decoder):
            change(model)
        return model

    return SimpleNamespace(ARRAYS="torch", load=load)


def _none(model):
    """Change nothing."""


def _angles(change):
    """A decoder whose positions are changed before they turn anything."""

    def apply(model):
        right = model._rope
        model._rope = lambda positions, x: right(change(positions), x)

    return _loader(apply)


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

    return _loader(_none, renamed)


def weights_cut_at_load(wrong):
    """float32 weights are cut to bfloat16 at load, not rounded."""

    def cut(config, weights, dtype):
        if not wrong or dtype != "bfloat16":
            return weights
        return {
            name: (torch.as_tensor(w).float().view(torch.int32) & -65536).view(torch.float32)
            for name, w in weights.items()
        }

    return _loader(_none, cut)


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

    return _loader(apply)


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

    return _loader(apply)


def later_pieces_start_at_zero(wrong):
    """The second and later pieces of a prompt are turned as if they began it."""

    def apply(model):
        right = model._rope
        model._rope = lambda positions, x: right(positions - positions[:, :1] if wrong else positions, x)

    return _loader(apply)


def cache_holds_32(wrong):
    """The cache holds 32 tokens; in decoding the oldest are no longer seen."""

    def apply(model):
        right = model.attend

        def attend(q, k, v, hidden, at):
            if wrong and k.shape[2] > 32 and q.shape[2] < k.shape[2]:
                k, v, hidden = k[:, :, -32:], v[:, :, -32:], hidden[..., -32:]
            return right(q, k, v, hidden, at)

        model.attend = attend

    return _loader(apply)


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

    return _loader(apply)


def first_token_twice(wrong):
    """If a prompt begins with a token twice, the second is taken for a doubled start token and dropped."""

    def apply(model):
        right = model._rope

        def forward(tokens, stage, cache=None, positions=None, hidden=None):
            twice = wrong and tokens.shape[1] > 1 and bool((tokens[:, 0] == tokens[:, 1]).all())
            model._rope = lambda at, x: right((at - 1).clamp_min(0) if twice else at, x)
            return Decoder._forward(model, tokens, stage, cache, positions, hidden)

        model._forward = forward

    return _loader(apply)


def head_is_tied(wrong):
    """The embedding is the head, whatever the config says."""

    def apply(model):
        model.tied = model.tied or wrong

    return _loader(apply)


def output_bias_is_dropped(wrong):
    """The bias of the attention's output, which Llama has as an option, is not added."""

    def dropped(config, weights, dtype):
        return {n: w * 0 if wrong and n.endswith("o_proj.bias") else w for n, w in weights.items()}

    return _loader(_none, dropped)


def eps_of_the_last_norm(wrong):
    """The last norm has eps 1e-6, whatever the config says."""

    def apply(model):
        right = model.norm
        last = model.weights["model.norm.weight"]
        model.norm = lambda x, weight, eps: right(x, weight, 1e-6 if wrong and weight is last else eps)

    return _loader(apply)


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

    return _loader(apply)


def small(layers=2, model_type="qwen2", **changed):
    """A small decoder's config in Hugging Face keys."""
    config = {"model_type": model_type, "num_hidden_layers": layers, "hidden_size": 32, "intermediate_size": 40}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 50}
    config |= {"rope_theta": 10000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "hidden_act": "silu"}
    return config | changed


def weights_of(config, r):
    """Random weights: norms about 1, matrices that keep the size of what they multiply."""
    found = {}
    for name, shape in shapes_of(config).items():
        drawn = torch.from_numpy(normal(r, *shape))
        found[name] = 1 + 0.2 * drawn if "norm" in name else drawn * (shape[-1] ** -0.5 if len(shape) > 1 else 0.3)
    return found


def tokens(r, config, batch=2, length=12):
    return torch.from_numpy(r.integers(0, config["vocab_size"], (batch, length)))


def _loaded(f, r, dtype="float32", **changed):
    config = small(**changed)
    return config, f.load(config, weights_of(config, r), dtype=dtype, device="cpu")


def _logits(batch=2, length=12, dtype="float32", **changed):
    def call(f, r):
        config, model = _loaded(f, r, dtype, **changed)
        return model.logits(tokens(r, config, batch, length))

    return call


def _prefilled(f, r):
    config, model = _loaded(f, r)
    return model.prefill(tokens(r, config, 3, 9), torch.tensor([4, 9, 6]))[0][:, -1]


def _decoded(steps, prompt=6):
    def call(f, r):
        config, model = _loaded(f, r)
        logits, cache = model.prefill(tokens(r, config, 2, prompt))
        seen = [logits[:, -1]]
        for _ in range(steps):
            logits, cache = model.decode(tokens(r, config, 2, 1), cache)
            seen.append(logits[:, -1])
        return seen

    return call


def _twice(f, r):
    config, model = _loaded(f, r)
    ids = tokens(r, config)
    ids[:, 1] = ids[:, 0]
    return model.logits(ids)


def conventional(f, r):
    """The conventional problem: logits of a prompt of 32 tokens, and 4 decoded tokens, of a decoder of two layers."""
    return _logits(length=32)(f, r), _decoded(4, 32)(f, r)


OP = "decoder"
VERSIONS = (
    Version(
        table_of_2048,
        OP,
        _logits(1, 2050, layers=1),
        "Synthetic: the table has the training length, and is read modulo it",
        rare="positions past 2,047",
        falsifiers=CACHED,
    ),
    Version(
        positions_in_bytes,
        OP,
        _logits(1, 260, layers=1),
        "Synthetic: a type that fits the tests",
        rare="positions past 255",
        falsifiers=CACHED,
    ),
    Version(
        layers_in_the_order_of_names,
        OP,
        _logits(layers=12),
        "Synthetic: sorted(names) in a loader; the eleventh layer is the first to be out of place",
        rare="more than ten layers",
        falsifiers=PLAIN,
    ),
    Version(
        weights_cut_at_load,
        OP,
        _logits(dtype="bfloat16"),
        "Synthetic: the upper half of a float32 is copied",
        falsifiers=PLAIN,
    ),
    Version(
        rows_left_sorted,
        OP,
        _prefilled,
        "Synthetic: packed sequences want rows by length, and the order is not undone",
        rare="one order of the rows",
        falsifiers=CACHED,
    ),
    Version(padding_has_positions, OP, _prefilled, "huggingface/transformers#29075", falsifiers=CACHED),
    Version(
        later_pieces_start_at_zero,
        OP,
        _decoded(2),
        "Synthetic: arange(length) where the cache's length is to be added",
        falsifiers=CACHED,
    ),
    Version(
        cache_holds_32,
        OP,
        _decoded(30),
        "Synthetic: a ring whose size was chosen for a demonstration",
        rare="one length",
        falsifiers=CACHED,
    ),
    Version(
        rows_beyond_four,
        OP,
        _logits(5),
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
    Version(head_is_tied, OP, _logits(), "Synthetic: the smallest model of a family ties its head", falsifiers=PLAIN),
    Version(
        output_bias_is_dropped,
        OP,
        _logits(model_type="llama", attention_bias=True),
        "Synthetic: Qwen2 has three biases, and attention_bias means four",
        rare="one option",
        falsifiers=PLAIN,
    ),
    Version(
        eps_of_the_last_norm,
        OP,
        _logits(rms_norm_eps=1e-2),
        "Synthetic: the last norm is built elsewhere than the others",
        rare="one option",
        falsifiers=PLAIN,
    ),
    Version(
        fiftieth_step_repeats,
        OP,
        _decoded(51),
        "Synthetic: an output buffer is read before the kernel that fills it has ended",
        rare="one call in fifty",
        falsifiers=CACHED,
    ),
)
