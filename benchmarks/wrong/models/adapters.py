"""Low-rank adapters, wrong in one place each; what is not replaced is the torch candidate's."""

import math
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch

import harness.candidates.torch as eager
from wrong.models.decoding import small, tokens, weights_of
from wrong.version import Version, normal

LORA = ("harness.falsifiers.adapters.lora:",)
FILES = ("harness.falsifiers.adapters.adapter_files:written", "harness.falsifiers.adapters.adapter_files:read")
Q = "model.layers.{}.self_attn.q_proj"


def _with(**functions):
    """The torch candidate with some functions replaced."""
    names = ("load", "gated_delta_net", "lora_scale", "merge_lora", "unmerge_lora", "save_adapter", "load_adapter")
    return SimpleNamespace(ARRAYS="torch", **{name: getattr(eager, name) for name in names} | functions)


def prefix_of_ten(wrong):
    """An adapter of layers.1 is found by its prefix, and also applied to layers.10 and on."""

    def load(config, weights, *, lora=None, dtype, device):
        found = dict(lora or {})
        for name in list(found) if wrong else []:
            stem, layer, rest = name.partition("layers.")[0], *name.partition("layers.")[2].split(".", 1)
            for other in range(10 * int(layer), 10 * int(layer) + 10) if layer != "0" else ():
                if other < config["num_hidden_layers"]:
                    found.setdefault(f"{stem}layers.{other}.{rest}", found[name])
        return eager.load(config, weights, lora=found, dtype=dtype, device=device)

    return _with(load=load)


def alpha_is_divided_as_an_integer(wrong):
    """alpha // r: right while r divides alpha."""

    def lora_scale(r, lora_alpha, use_rslora=False):
        if use_rslora:
            return lora_alpha / math.sqrt(r)
        return float(lora_alpha // r) if wrong else lora_alpha / r

    return _with(lora_scale=lora_scale)


def rank_stabilisation_is_ignored(wrong):
    """use_rslora is not read: alpha / r, whatever is set."""

    def lora_scale(r, lora_alpha, use_rslora=False):
        return lora_alpha / (math.sqrt(r) if use_rslora and not wrong else r)

    return _with(lora_scale=lora_scale)


def merged_in_the_weights_type(wrong):
    """B A is computed and added in 16 bits: each step is rounded."""

    def merge(weight, A, B, scale):
        wide = weight.dtype if wrong or weight.dtype == torch.float64 else torch.float32
        return (weight.to(wide) + scale * (B.to(wide) @ A.to(wide))).to(weight.dtype)

    return _with(
        merge_lora=lambda weight, adapter: merge(weight, *adapter),
        unmerge_lora=lambda weight, adapter: merge(weight, *adapter[:2], -adapter[2]),
    )


def ranks_beyond_16(wrong):
    """Rows of A beyond the 16th are not read."""

    def cut(adapter):
        A, B, scale = adapter
        return (A[:16], B[:, :16], scale) if wrong else adapter

    return _with(
        merge_lora=lambda weight, adapter: eager.merge_lora(weight, cut(adapter)),
        unmerge_lora=lambda weight, adapter: eager.unmerge_lora(weight, cut(adapter)),
    )


def only_attention_is_adapted(wrong):
    """Adapters of the MLP are dropped on loading, without a word."""

    def load(config, weights, *, lora=None, dtype, device):
        kept = {name: each for name, each in (lora or {}).items() if not wrong or ".mlp." not in name}
        return eager.load(config, weights, lora=kept, dtype=dtype, device=device)

    return _with(load=load)


def last_adapter_stays(wrong):
    """A model that is loaded without adapters keeps those of the model before."""
    last = {}

    def load(config, weights, *, lora=None, dtype, device):
        used = lora if lora or not wrong else last.get(config["hidden_size"])
        last[config["hidden_size"]] = lora or None
        return eager.load(config, weights, lora=used, dtype=dtype, device=device)

    return _with(load=load)


def files_in_the_order_of_names(wrong):
    """Layers are read in the order of their names, where layers.10 comes before layers.2, and numbered by it."""

    def load_adapter(folder, config):
        found = eager.load_adapter(folder, config)
        by_name, by_number = sorted(found), sorted(found, key=_numbered)
        return {right: found[read] for right, read in zip(by_number, by_name if wrong else by_number, strict=True)}

    return _with(load_adapter=load_adapter)


def _numbered(name):
    return [int(part) if part.isdigit() else part for part in name.split(".")]


def _pair(r, rows=32, columns=32, rank=3):
    return torch.from_numpy(normal(r, rank, columns)), torch.from_numpy(normal(r, rows, rank))


def _adapted(name, layers=2):
    def call(f, r):
        config = small(layers=layers)
        weights = weights_of(config, r)
        rows, columns = weights[f"{name}.weight"].shape
        lora = {name: (*_pair(r, rows, columns), 0.7)}
        model = f.load(config, weights, lora=lora, dtype="float32", device="cpu")
        plain = f.load(config, weights, dtype="float32", device="cpu")
        return model.logits(tokens(r, config)), plain.logits(tokens(r, config))

    return call


def _scales(f, r):
    return [f.lora_scale(rank, alpha, stable) for rank, alpha in ((8, 16.0), (16, 24.0)) for stable in (False, True)]


def _merged(dtype=torch.float32, rank=8):
    def call(f, r):
        weight = torch.from_numpy(normal(r, 12, 10)).to(dtype)
        adapter = (*(each.to(dtype) for each in _pair(r, 12, 10, rank)), 0.5)
        return f.merge_lora(weight, adapter)

    return call


def _files(f, r):
    config = small(layers=12)
    shape = weights_of(config, r)[f"{Q.format(0)}.weight"].shape
    pairs = {Q.format(i): _pair(r, *shape) for i in range(12)}
    with TemporaryDirectory() as folder:
        f.save_adapter(folder, config, pairs, r=3, lora_alpha=6.0, use_rslora=False)
        found = f.load_adapter(folder, config)
    return [found[name][0] for name in pairs]


def trained_adapter(f, r):
    """The conventional problem: a decoder of two layers, an adapter of rank 8 and alpha 16 on its queries."""
    config = small()
    weights = weights_of(config, r)
    rows, columns = weights[f"{Q.format(0)}.weight"].shape
    scale = f.lora_scale(8, 16.0)
    lora = {Q.format(i): (*_pair(r, rows, columns, 8), scale) for i in range(2)}
    model = f.load(config, weights, lora=lora, dtype="float32", device="cpu")
    return model.logits(tokens(r, config)), f.merge_lora(weights[f"{Q.format(0)}.weight"], lora[Q.format(0)])


OP = "lora"
VERSIONS = (
    Version(
        prefix_of_ten,
        OP,
        _adapted(Q.format(1), layers=12),
        "Synthetic: names are compared with startswith, and small models have fewer than ten layers",
        rare="one layer in more than ten",
        falsifiers=LORA,
    ),
    Version(
        alpha_is_divided_as_an_integer,
        OP,
        _scales,
        "Synthetic: both numbers are integers in the file, and alpha is 2 r by habit",
        rare="one option",
        falsifiers=LORA,
    ),
    Version(
        rank_stabilisation_is_ignored,
        OP,
        _scales,
        "Synthetic: a loader that is older than the key",
        rare="one option",
        falsifiers=LORA,
    ),
    Version(
        merged_in_the_weights_type,
        OP,
        _merged(torch.bfloat16),
        "Synthetic: weight += scale * B @ A, written in place on a 16-bit model",
        falsifiers=LORA,
    ),
    Version(
        ranks_beyond_16,
        OP,
        _merged(rank=20),
        "Synthetic: the kernel's table of ranks ends at 16, as vLLM's max_lora_rank does by default",
        rare="one option",
        falsifiers=LORA,
    ),
    Version(
        only_attention_is_adapted,
        OP,
        _adapted("model.layers.0.mlp.up_proj"),
        "vllm-project/vllm#34186",
        falsifiers=LORA,
    ),
    Version(
        last_adapter_stays,
        OP,
        _adapted(Q.format(1)),
        "Synthetic: adapters are set on a shared base and not taken off",
        falsifiers=LORA,
    ),
    Version(
        files_in_the_order_of_names,
        OP,
        _files,
        "Synthetic: sorted(names) in a converter; the tenth layer is the first to be out of place",
        rare="more than ten layers",
        falsifiers=FILES,
    ),
)
