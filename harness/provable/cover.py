"""Find built-in claims about the same op as a foreign contract, by its names; does not bind them to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from harness.contract.claim import Claim
from harness.contract.draft import Draft
from harness.contract.location import BUILT_IN, contract_files
from harness.contract.selection import selector
from harness.provable.names import contract_id

COVER = (
    (r"softmax", "ops", "softmax"),
    (r"rms-?norm", "ops", "rmsnorm"),
    (r"layer-?norm", "ops", "layernorm"),
    (r"l2-?norm", "ops", "l2norm"),
    (r"rope|rotary", "ops", "rope"),
    (r"attention|sdpa|gqa|mqa", "ops", "attention"),
    (r"gelu", "ops", "gelu"),
    (r"silu|swish", "ops", "silu"),
    (r"swiglu", "ops", "swiglu"),
    (r"relu", "ops", "relu"),
    (r"sigmoid", "ops", "sigmoid"),
    (r"cross-entropy|xent", "ops", "cross-entropy"),
    (r"matmul|gemm|gemv", "ops", "matmul"),
    (r"embedding|embed", "ops", "embedding"),
    (r"sampling|top-k", "ops", "sampling"),
    (r"q[48]-0|block-quant\w*", "ops", "block-quantization"),
    (r"adamw", "training", "adamw"),
    (r"(gradient|grad)-accumulation", "training", "accumulation"),
    (r"kv-cache", "model", "kv-cache"),
    (r"lora|qlora", "adapters", "lora"),
    (r"gated-delta(-net)?|gdn", "model", "gated-delta-net"),
    (r"gguf", "packaging", "gguf"),
)
"""(pattern of a foreign contract's names, folder of our contracts, selector of claims in it)."""


def covered(names: Iterable[str]) -> dict[str, str]:
    """`harness run` arguments -> the claims that they select, for each op in `names`."""
    words = "-".join(contract_id(name) for name in names)
    found = {}
    for pattern, folder, select in COVER:
        if re.search(rf"(?<![a-z0-9])({pattern})(?![a-z0-9])", words):
            claims = [claim.id for claim in _claims(folder) if selector(select)(claim)]
            found[f"{BUILT_IN}{folder} -k {select}"] = (
                f"{len(claims)} claims: {', '.join(claims[:4])}{', ...' if claims[4:] else ''}"
            )
    return found


@cache
def _claims(folder: str) -> tuple[Claim, ...]:
    files, _ = contract_files([f"{BUILT_IN}{folder}"])
    drafts = [Draft.read(file, None) for file in files]
    return tuple(Claim(str(draft.id), draft.file, 0, source) for draft in drafts for source in draft.claims.values())
