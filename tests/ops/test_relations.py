"""Relations between two answers: how a contract names them, the claims' power, and wrong ops."""

import numpy as np
import pytest
from in_process import recorded
from reordered import KERNELS

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.answer_distance import constant, differing, distance
from harness.falsifiers.ops.builder import build
from harness.falsifiers.ops.related_calls import related
from harness.falsifiers.ops.shapes import parse, sizes, take
from harness.judging.judge import judge
from harness.judging.verdict import Verdict
from tests.support.laboratory import examine, judged_alone, shipped_in

CLAIMS, MUTANTS = shipped_in("ops", "relations")
ATTENTION = "q (batch, kv_heads group, queries, dim), k (batch, kv_heads, keys, dim) -> (batch, kv_heads group, dim)"
PRELUDE = "import numpy as np\n\ndef wide(x):\n    return x.astype(np.float64)\n\n"


@pytest.mark.sample(6)
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_candidate_survives_and_every_mutant_breaks_the_relation_by_far(claim, tmp_path):
    found = examine(CLAIMS[claim], MUTANTS[claim], tmp_path).judgement
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if mutant["weak"]]
    others = [mutant for mutant in found.mutants if mutant["name"] != "answers_zeros"]
    spared = [mutant["name"] for mutant in others if not any("relation_err" in limit for limit in mutant["kills"])]
    assert not spared


PLANTED = {
    "argmax that starts its maximum at 0": (
        "ARGMAX",
        {"shift of argmax"},
        "def argmax(logits):\n    return np.where(logits.max(-1) > 0, logits.argmax(-1), 0)\n",
    ),
    "rmsnorm that drops the tail of a row": (
        "RMSNORM",
        {"permute_columns of rmsnorm"},
        "def rmsnorm(x, weight, eps):\n"
        "    whole = x.shape[-1] // 32 * 32 or x.shape[-1]\n"
        "    mean = (wide(x)[..., :whole] ** 2).mean(-1, keepdims=True)\n"
        "    return (wide(x) / np.sqrt(mean + eps) * wide(weight)).astype(x.dtype)\n",
    ),
    "softmax whose sum is not rescaled when a later block holds the maximum": (
        "SOFTMAX",
        {"permute_columns of softmax"},
        "def softmax(x):\n"
        "    w, total, top = wide(x), 0.0, -1e30\n"
        "    for at in range(0, x.shape[-1], 32):\n"
        "        part = w[..., at : at + 32]\n"
        "        top = np.maximum(top, part.max(-1, keepdims=True))\n"
        "        total = total + np.exp(part - top).sum(-1, keepdims=True)\n"
        "    return (np.exp(w - top) / total).astype(x.dtype)\n",
    ),
    "softmax of a level that is clipped": (
        "SOFTMAX",
        {"shift of softmax"},
        "def softmax(x):\n"
        "    e = np.exp(np.clip(wide(x), -80, 80))\n"
        "    return (e / e.sum(-1, keepdims=True)).astype(x.dtype)\n",
    ),
    "a table of angles that wraps at 2,048": (
        "ROPE-DISTANCE",
        {"shift_positions of rope"},
        "def rope(x, positions, *, theta):\n"
        "    half = x.shape[-1] // 2\n"
        "    angles = (positions % 2048)[:, None] * theta ** (-np.arange(half) / half)\n"
        "    a, b = wide(x)[..., :half], wide(x)[..., half:]\n"
        "    cos, sin = np.cos(angles), np.sin(angles)\n"
        "    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)\n",
    ),
    "ids kept in 16 bits": (
        "EMBEDDING",
        {"permute_vocab of embedding"},
        "def embedding(tokens, weight):\n    return weight[tokens % 32768]\n",
    ),
    "a lone row that is doubled": (
        "LINEAR",
        {"alone_rows of linear", "split_rows of linear", "grow_rows of linear"},
        "def linear(x, weight, bias=None):\n"
        "    out = wide(x) @ wide(weight).T + (0 if bias is None else wide(bias))\n"
        "    return (out * 2 if len(x) == 1 else out).astype(x.dtype)\n",
    ),
    "a clip of large answers": (
        "RELU",
        {"scale of relu"},
        "def relu(x):\n    return np.clip(x, 0, 1000)\n",
    ),
    "a last row that does not count": (
        "CROSS-ENTROPY",
        {f"{each} of cross_entropy" for each in ("permute_rows", "ignored_added", "weighted_parts")},
        "def cross_entropy(logits, targets):\n"
        "    rows = max(len(logits) - 1, 1)\n"
        "    w, t = wide(logits[:rows]), targets[:rows]\n"
        "    top = w.max(-1, keepdims=True)\n"
        "    lse = np.log(np.exp(w - top).sum(-1)) + top[..., 0]\n"
        "    own = np.take_along_axis(w, np.maximum(t, 0)[..., None], -1)[..., 0]\n"
        "    loss = ((lse - own) * (t >= 0)).sum() / (t >= 0).sum()\n"
        "    return np.asarray(loss).astype(logits.dtype)\n",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_op_is_red_by_the_relation_it_breaks(name, tmp_path):
    claim, relations, source = PLANTED[name]
    found = judged_alone(f"FALSIFY-RELATIONS-{claim}-001", tmp_path, PRELUDE + source)
    assert found.verdict is Verdict.FALSIFIED, found.reason
    assert {each["pair"] for each in found.violated} <= relations, found.violated


ATTENTION_KERNEL = """
def attention(q, k, v, *, causal=True, offset=0, padding=None):
    own = {heads}
    k, v = k[:, own], v[:, own]
    scores = wide(q) @ wide(k).swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    keys = np.arange(k.shape[2])
    at = np.arange(q.shape[2])[:, None] + {offset}
    seen = np.broadcast_to((keys <= at) | (not causal), (len(q), 1, q.shape[2], k.shape[2]))
    if padding is not None:
        seen = seen & (keys >= padding[:, None])[:, None, None]
    scores = np.where(seen, scores, -np.inf)
    e = np.exp(scores - np.where(seen, scores, -1e300).max(-1, keepdims=True))
    out = (np.nan_to_num(e / np.maximum(e.sum(-1, keepdims=True), 1e-300)) @ wide(v)).astype(q.dtype)
    return {answer}
"""
RIGHT = {"heads": "np.arange(q.shape[1]) // (q.shape[1] // k.shape[1])", "offset": "offset", "answer": "out"}


@pytest.mark.parametrize(
    ("fault", "relations"),
    [
        ({}, None),
        (
            {"heads": "np.arange(q.shape[1]) // 4 % k.shape[1]"},
            {"permute_kv_heads of attention", "permute_group of attention"},
        ),
        ({"offset": "0"}, {"split_time of attention", "unpad of attention", "pad_left of attention"}),
        (
            {"answer": "out if padding is None else out[np.argsort(padding, kind='stable')[::-1]]"},
            {"permute_batch of attention", "unpad of attention", "alone_batch of attention", "grow_batch of attention"},
        ),
    ],
    ids=["right", "groups of 4", "no offset", "batch left sorted by padding"],
)
def test_attention_is_red_by_the_relation_it_breaks(fault, relations, tmp_path):
    source = PRELUDE + ATTENTION_KERNEL.format(**{**RIGHT, **fault})
    found = judged_alone("FALSIFY-RELATIONS-ATTENTION-CAUSAL-001", tmp_path, source)
    if relations is None:
        assert not found.violated
    else:
        assert found.verdict is Verdict.FALSIFIED, found.reason
        assert {each["pair"] for each in found.violated if each["measure"] == "relation_err"} <= relations


def test_an_op_that_answers_nan_is_red_by_the_relation(tmp_path):
    source = PRELUDE + "def gelu(x):\n    return np.full_like(x, np.nan)\n"
    found = judged_alone("FALSIFY-RELATIONS-GELU-001", tmp_path, source)
    assert {each["measure"] for each in found.violated} == {"relation_err"}


def test_an_op_that_always_answers_the_same_is_red(tmp_path):
    source = PRELUDE + "def gelu(x):\n    return np.full_like(x, 0.5)\n"
    found = judged_alone("FALSIFY-RELATIONS-GELU-001", tmp_path, source)
    assert [each["measure"] for each in found.violated] == ["constant_answer"] * 3


def test_axes_are_read_from_the_contracts_words():
    shapes = parse("tokens (batch, length) of vocab, weight (vocab, width) -> (batch, length, width)")
    assert shapes.arguments["tokens"].ids == "vocab"
    assert shapes.arguments["weight"].names == ["vocab", "width"]
    assert shapes.out.names == ["batch", "length", "width"]
    assert parse("logits (rows, vocab) -> (rows) of vocab").out.ids == "vocab"
    assert parse("logits (n), labels (n) -> ()").out.axes == ()
    for wrong in ("x (rows)", "x (rows) -> rows", "-> (rows)", "(rows) -> (rows)"):
        with pytest.raises(UserError, match=r"given\.shapes: found"):
            parse(wrong)


def test_joined_axes_are_taken_apart():
    call = build(
        Case(),
        ("attention",),
        q_len=2,
        past=1,
        causal=True,
        kv_heads=2,
        group=3,
        head_dim=4,
        spread=0.0,
        batch=2,
    )
    shapes = parse(ATTENTION)
    size = sizes(call, shapes)
    assert (size["kv_heads"], size["group"], size["queries"], size["keys"]) == (2, 3, 2, 3)
    q = call.args[0]
    swapped = take(q, shapes.arguments["q"], size, "kv_heads", np.array([1, 0]))
    assert np.array_equal(swapped, q[:, [3, 4, 5, 0, 1, 2]])
    assert np.array_equal(take(q, shapes.arguments["q"], size, "group", np.array([2, 0, 1])), q[:, [2, 0, 1, 5, 3, 4]])
    with pytest.raises(UserError, match="found 'permute_nothing', expected shift, scale"):
        related(Case(), call, "permute_nothing", shapes, "")


def test_distances_fail_what_they_cannot_compare():
    one = np.ones(3, np.float32)
    assert distance(one, one, "float32") == 0
    assert distance(one * np.float32(1 + 2**-23), one, "float32") == 2  # one step is two unit round-offs
    for wrong in (np.array([1, 1, np.nan], np.float32), np.array([1, 1, np.inf], np.float32), one[:2]):
        assert np.isnan(distance(wrong, one, "float32"))
    assert np.isnan(distance(one[:0], one[:0], "float32"))
    assert differing(np.array([1, 2]), np.array([1, 3])) == 1
    assert np.isnan(differing(np.array([1]), np.array([1, 3])))
    assert (constant(np.zeros(64)), constant(np.zeros(63)), constant(np.arange(64))) == (1, 0, 0)


def test_correct_products_in_other_orders_stay_green():
    claim = CLAIMS["FALSIFY-RELATIONS-LINEAR-001"]
    for name, kernel in KERNELS["linear"].items():
        assert not judge(claim.source, recorded(claim, kernel)).violated, name
