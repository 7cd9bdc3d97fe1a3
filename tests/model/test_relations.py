"""Relations of a decoder's logits: the claims' power, the axes of the weights, and planted faults."""

import numpy as np
import pytest

from harness.case import Case
from harness.errors import UserError
from harness.falsifiers.inputs.synthetic_model import case_weights, small_config
from harness.falsifiers.inputs.weight_axes import AXES, axis_sizes, permuted
from harness.falsifiers.model.relations import relation
from harness.judging.verdict import Verdict
from harness.reference.model.decoder import decoder_logits
from tests.support.laboratory import examine, judged_alone, shipped_in

CLAIMS, MUTANTS = shipped_in("model", "relations")
MODEL = {"hidden": 42, "intermediate": 63, "heads": 6, "kv_heads": 2, "head_dim": 10, "vocab": 67, "layers": 2}
PLANTED = {
    "batch left sorted by length": (
        {"permute_batch of logits", "unpad of logits"},
        "    def prefill(self, tokens, lengths=None):\n"
        "        if lengths is None:\n"
        "            return self.model.prefill(tokens)\n"
        "        order = lengths.argsort(descending=True)\n"
        "        return self.model.prefill(tokens[order], lengths=lengths[order])\n",
    ),
    "a last token that is never likely": (
        {"permute_vocab of logits", "unpad of logits", "split_time of logits"},
        "    def logits(self, tokens):\n"
        "        logits = self.model.logits(tokens)\n"
        "        logits[..., -1] = -10\n"
        "        return logits\n",
    ),
    "every piece starts anew": (
        {"split_time of logits"},
        "    def decode(self, tokens, cache):\n        return self.model.prefill(tokens)[0], cache\n",
    ),
}
KERNEL = """from harness.candidates.torch.model import decoder

ARRAYS = "torch"


class Model:
    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

{method}

def load(config, weights, *, dtype, device):
    return Model(decoder.load(config, weights, dtype=dtype, device=device))
"""


@pytest.mark.sample(1)
@pytest.mark.parametrize("claim", CLAIMS)
def test_the_candidate_survives_and_every_mutant_breaks_the_relation_by_far(claim, tmp_path):
    found = examine(CLAIMS[claim], MUTANTS[claim], tmp_path).judgement
    assert found.verdict is Verdict.PARTIAL, found.reason
    assert not [mutant["name"] for mutant in found.mutants if mutant["weak"]]
    others = [mutant for mutant in found.mutants if mutant["name"] != "logits_are_zeros"]
    assert not [m["name"] for m in others if not any("relation_err" in limit for limit in m["kills"])]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_decoder_is_red_by_the_relation_it_breaks(name, tmp_path):
    relations, method = PLANTED[name]
    found = judged_alone("FALSIFY-DECODER-RELATIONS-001", tmp_path, KERNEL.format(method=method))
    assert found.verdict is Verdict.FALSIFIED, found.reason
    assert {each["pair"] for each in found.violated if each["measure"] == "relation_err"} <= relations


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_permuted_axis_leaves_the_references_logits(axis, tied):
    case = Case(dtype="float64")
    config = small_config(model_type="llama", biases=True, tied=tied, **MODEL)
    weights, size = case_weights(case, config), axis_sizes(config)
    order = case.stream("order").permutation(size[axis])
    tokens = case.integers("tokens", (2, 9), 0, config["vocab_size"])
    want, other = decoder_logits(config, weights, tokens), permuted(weights, size, axis, order)
    moved = [name for name in weights if not np.array_equal(weights[name], other[name])]
    assert moved
    if axis == "vocab":
        tokens, want = np.argsort(order)[tokens], want[..., order]
    np.testing.assert_allclose(decoder_logits(config, other, tokens), want, rtol=0, atol=1e-12)


def test_an_unknown_relation_is_refused():
    with pytest.raises(UserError, match="found 'permute_dim', expected one of permute_batch"):
        relation(None, Case(), relation="permute_dim", length=2, batch=1, model_type="qwen2", model=MODEL)
