"""A gated-delta-net layer in NumPy, step by step, wrong in one place each."""

from functools import partial
from types import SimpleNamespace

import numpy as np
from reordered.width import wide

from wrong.version import Version, normal

FORWARD = ("harness.falsifiers.model.gated_delta_net",)


def _sigmoid(w):
    small = np.exp(-np.abs(w))
    return np.where(w >= 0, 1, small) / (1 + small)


def _silu(w):
    return w * _sigmoid(w)


def _of_length_one(w, eps):
    return w / np.sqrt(np.square(w).sum(axis=-1, keepdims=True) + w.dtype.type(eps))


def _decayed_first(state, k, v, g, beta):
    """S = e^g S + k (beta (v − e^g Sᵀ k))ᵀ. Shapes: S (B, H, Dk, Dv), k (B, H, Dk), v (B, H, Dv), g, beta (B, H)."""
    state = np.exp(g)[..., None, None] * state
    written = beta[..., None] * (v - np.einsum("bhkv,bhk->bhv", state, k))
    return state + k[..., None] * written[..., None, :]


def _history(x, history, taps):
    """The last inputs of a piece, those before it included. Shapes: x (B, T, C) -> (B, K − 1 + T, C)."""
    first = np.zeros((len(x), taps - 1, x.shape[-1]), x.dtype) if history is None else np.swapaxes(wide(history), 1, 2)
    return np.concatenate([first, x], axis=1)


def _run(
    x,
    weights,
    config,
    *,
    state=None,
    conv_state=None,
    lora=None,
    real=None,
    update=_decayed_first,
    spread=np.repeat,
    kept=None,
    masked=True,
    carry=None,
    length_eps=1e-6,
):
    """One layer over T tokens. Shapes: x (B, T, C) -> out, state (B, Hv, Dk, Dv), conv_state (B, channels, K − 1)."""
    w = {name: wide(tensor) for name, tensor in weights.items()}
    heads, key_heads = config["linear_num_value_heads"], config["linear_num_key_heads"]
    dk, dv = config["linear_key_head_dim"], config["linear_value_head_dim"]
    inputs = wide(x) * (real[..., None] if real is not None and masked else 1)

    def project(rows, name):
        out = rows @ w[f"{name}.weight"].T
        if name in (lora or {}):
            A, B, scale = lora[name]
            out = out + w["A_log"].dtype.type(scale) * ((rows @ wide(A).T) @ wide(B).T)
        return out

    taps, length = w["conv1d.weight"].shape[-1], x.shape[1]
    whole = _history(project(inputs, "in_proj_qkv"), conv_state, taps)
    c = _silu(sum(whole[:, i : i + length] * w["conv1d.weight"][:, 0, i] for i in range(taps)))
    q, k, v = np.split(c, [key_heads * dk, 2 * key_heads * dk], axis=-1)
    q, k = (part.reshape(*part.shape[:2], key_heads, dk) for part in (q, k))
    q, k = (_of_length_one(part, length_eps) for part in (q, k))
    q, k = (spread(part, heads // key_heads, axis=2) for part in (q * q.dtype.type(dk**-0.5), k))
    v = v.reshape(*v.shape[:2], heads, dv)
    beta = _sigmoid(project(inputs, "in_proj_b"))
    g = -np.exp(w["A_log"]) * np.logaddexp(0, project(inputs, "in_proj_a") + w["dt_bias"])
    s = np.zeros((len(x), heads, dk, dv), v.dtype) if state is None else wide(state)
    core = np.empty_like(v)
    for t in range(length):
        s = update(s if carry is None else carry(s, t), k[:, t], v[:, t], g[:, t], beta[:, t])
        core[:, t] = np.einsum("bhkv,bhk->bhv", s, q[:, t])
    eps = core.dtype.type(config["rms_norm_eps"])
    normed = core / np.sqrt(np.square(core).mean(axis=-1, keepdims=True) + eps) * w["norm.weight"]
    z = project(inputs, "in_proj_z").reshape(v.shape)
    out = project((normed * _silu(z)).reshape(*x.shape[:2], -1), "out_proj")
    history = (kept or (lambda all_, t: all_[:, t - taps + 1 :]))(whole, whole.shape[1])
    return out.astype(x.dtype), s.astype(x.dtype), np.swapaxes(history, 1, 2).astype(x.dtype)


def _subject(**changed):
    return SimpleNamespace(gated_delta_net=partial(_run, **changed))


def value_heads_by_modulo(wrong):
    """Value head h reads key head h modulo their number."""

    def tiled(part, repeats, axis):
        return np.concatenate([part] * repeats, axis=axis)

    return _subject(spread=tiled if wrong else np.repeat)


def decay_after_the_write(wrong):
    """The state decays after a step has written, its own value included."""

    def late(state, k, v, g, beta):
        written = beta[..., None] * (v - np.einsum("bhkv,bhk->bhv", state, k))
        return np.exp(g)[..., None, None] * (state + k[..., None] * written[..., None, :])

    return _subject(update=late if wrong else _decayed_first)


def error_before_the_decay(wrong):
    """A step reads what the state held before it decayed."""

    def early(state, k, v, g, beta):
        written = beta[..., None] * (v - np.einsum("bhkv,bhk->bhv", state, k))
        return np.exp(g)[..., None, None] * state + k[..., None] * written[..., None, :]

    return _subject(update=early if wrong else _decayed_first)


def short_pieces_lose_their_history(wrong):
    """A piece shorter than the convolution keeps its own inputs alone, with zeros before them."""

    def kept(whole, end):
        return _short(whole) if wrong else whole[:, -3:]

    def _short(whole):
        own, old = whole[:, 3:], whole.copy()
        if own.shape[1] < 3:
            old[:, :3] = 0
        return old[:, -3:]

    return _subject(kept=kept)


def padding_writes(wrong):
    """Tokens on padding are not zeroed, and write into the state."""
    return _subject(masked=not wrong)


def state_is_cleared_at_4096(wrong):
    """The state starts anew every 4,096 steps, where a workspace ends."""
    return _subject(carry=lambda s, t: s * (0 if wrong and t and t % 4096 == 0 else 1))


def state_in_half(wrong):
    """The state is rounded to float16's ten bits after every chunk of 64 steps."""

    def rounded(s, t):
        return s.astype(np.float16).astype(s.dtype) if wrong and t and t % 64 == 0 else s

    return _subject(carry=rounded)


def lengths_without_eps(wrong):
    """Keys and queries are divided by their length without eps."""
    return _subject(length_eps=0 if wrong else 1e-6)


def layer(r, key_heads=2, per_key=2, hidden=16, dk=8, dv=6):
    """A small layer of one's own: config and weights."""
    heads = key_heads * per_key
    channels = 2 * key_heads * dk + heads * dv
    config = {"hidden_size": hidden, "linear_num_key_heads": key_heads, "linear_num_value_heads": heads}
    config |= {
        "linear_key_head_dim": dk,
        "linear_value_head_dim": dv,
        "linear_conv_kernel_dim": 4,
        "rms_norm_eps": 1e-6,
    }
    shapes = {"in_proj_qkv": channels, "in_proj_z": heads * dv, "in_proj_b": heads, "in_proj_a": heads}
    weights = {f"{name}.weight": normal(r, rows, hidden) * np.float32(hidden**-0.5) for name, rows in shapes.items()}
    weights |= {"conv1d.weight": normal(r, channels, 1, 4), "out_proj.weight": normal(r, hidden, heads * dv)}
    weights |= {"A_log": normal(r, heads) - 3, "dt_bias": normal(r, heads), "norm.weight": normal(r, dv)}
    return config, weights


def layer_call(length=9, batch=2, real=None):
    def call(f, r):
        config, weights = layer(r)
        options = {} if real is None else {"real": real}
        return f.gated_delta_net(normal(r, batch, length, 16), weights, config, **options)

    return call


def _two_pieces(f, r):
    config, weights = layer(r)
    x = normal(r, 2, 8, 16)
    _, state, history = f.gated_delta_net(x[:, :6], weights, config)
    _, state, history = f.gated_delta_net(x[:, 6:7], weights, config, state=state, conv_state=history)
    return f.gated_delta_net(x[:, 7:], weights, config, state=state, conv_state=history)


def _zeros(f, r):
    config, weights = layer(r)
    return f.gated_delta_net(1e-4 * normal(r, 1, 6, 16), weights, config)


NET = "gated_delta_net"
VERSIONS = (
    Version(
        value_heads_by_modulo,
        NET,
        layer_call(),
        "Synthetic: repeat for repeat_interleave; both give one shape",
        falsifiers=FORWARD,
    ),
    Version(decay_after_the_write, NET, layer_call(), "Synthetic: two lines change places", falsifiers=FORWARD),
    Version(
        error_before_the_decay,
        NET,
        layer_call(),
        "Synthetic: DeltaNet's line is kept when the gate is added",
        falsifiers=FORWARD,
    ),
    Version(
        short_pieces_lose_their_history,
        NET,
        _two_pieces,
        "Synthetic: the last K − 1 inputs of a piece are stored, of which one token has one",
        rare="pieces shorter than the convolution",
        falsifiers=FORWARD,
    ),
    Version(
        padding_writes,
        NET,
        layer_call(real=np.arange(9) >= np.array([[0], [4]])),
        "Synthetic: attention's mask has nothing to hide from in a recurrent layer",
        falsifiers=FORWARD,
    ),
    Version(
        state_is_cleared_at_4096,
        NET,
        layer_call(length=4100, batch=1),
        "Synthetic: a workspace of 4,096 steps per launch",
        rare="one length",
        falsifiers=FORWARD,
    ),
    Version(
        state_in_half,
        NET,
        layer_call(length=70),
        "Synthetic: the state passes between chunks in the model's type",
        rare="one length",
        falsifiers=FORWARD,
    ),
    Version(
        lengths_without_eps,
        NET,
        _zeros,
        "Synthetic: F.normalize for FLA's l2norm, equal on rows of ordinary size",
        rare="one value range",
        falsifiers=FORWARD,
    ),
)
