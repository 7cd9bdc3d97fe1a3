"""Stages of a user's own torch module by hooks: names of its own, what cannot be shown, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from harness.candidates.huggingface.hooks import Staged
from harness.errors import UserError

TOKENS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
MAP = {
    "embed": "words",
    "layers.{i}.input_norm": "blocks.{i}.first",
    "layers.{i}.q_proj": ("blocks.{i}.mix", "out", slice(0, 4)),
    "layers.{i}.attn": ("blocks.{i}.out", "in"),
    "layers.{i}.o_proj": "blocks.{i}.out",
    "layers.{i}.mlp_residual": "blocks.{i}",
    "final_norm": "last",
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix, self.out = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.mix(self.first(x)).chunk(2, dim=-1)
        return x + self.out(one * two)


class Small(nn.Module):
    """Names that no family of transformers has."""

    def __init__(self, wrap: Callable[[torch.Tensor], Any] = lambda x: x) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.blocks, self.last = nn.Embedding(10, 4), nn.ModuleList([Block(), Block()]), nn.LayerNorm(4)
        self.wrap = wrap

    def forward(self, tokens: torch.Tensor) -> Any:
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x)
        return self.wrap(self.last(x) @ self.words.weight.T)


def test_without_a_map_a_module_of_other_names_shows_its_logits_alone() -> None:
    assert list(Staged(Small()).stages(TOKENS)) == ["logits"]


def test_a_map_names_the_stages_of_every_layer() -> None:
    staged = Staged(Small(), MAP)
    seen = staged.stages(TOKENS)
    assert len(seen) == 2 + 5 * 2 + 1
    assert {name: tuple(value.shape) for name, value in seen.items() if name.startswith("layers.1")} == dict.fromkeys(
        [name.replace("{i}", "1") for name in MAP if "{i}" in name], (2, 5, 4)
    )
    block = staged.module.blocks[1]
    assert torch.equal(seen["layers.1.q_proj"], block.mix(seen["layers.1.input_norm"])[..., :4])
    assert torch.equal(seen["layers.1.o_proj"], block.out(seen["layers.1.attn"]))
    assert torch.equal(seen["logits"], staged.logits(TOKENS))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in staged.module.modules())


@pytest.mark.parametrize("stage", [name.replace("{i}", "0") for name in MAP])
def test_what_follows_reads_the_replacement_and_the_stage_itself_does_not(stage: str) -> None:
    staged = Staged(Small(), MAP)
    plain = staged.stages(TOKENS)
    seen = staged.stages(TOKENS, replace={stage: plain[stage] + 1})
    order = ["embed", *(name.replace("{i}", "0") for name in MAP if "{i}" in name), "layers.1.input_norm", "final_norm"]
    same = {name for name in order if torch.equal(seen[name], plain[name])}
    assert same == set(order[: order.index(stage) + 1])
    assert not torch.equal(seen["logits"], plain["logits"])


def test_a_replacement_that_equals_the_value_changes_nothing() -> None:
    staged = Staged(Small(), MAP)
    plain = staged.stages(TOKENS)
    seen = staged.stages(TOKENS, replace=plain)
    assert all(torch.equal(seen[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    "wrap", [lambda x: (x, None), lambda x: type("Out", (), {"logits": x})()], ids=["tuple", "out"]
)
def test_logits_are_taken_from_what_a_forward_returns(wrap: Callable[[torch.Tensor], Any]) -> None:
    assert torch.equal(Staged(Small(wrap)).logits(TOKENS), Staged(Small()).logits(TOKENS))


def test_a_replacement_of_another_shape_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"replace: embed has shape \(2, 4, 4\), expected \(2, 5, 4\)"):
        Staged(Small(), MAP).stages(TOKENS, replace={"embed": torch.zeros(2, 4, 4)})


def test_a_name_that_no_module_has_is_one_line_with_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"layers.\{i\}.q_proj is said to be at blocks.\{i\}.mixx.*nearest.*blocks.0.mix"
    ):
        Staged(Small(), {"layers.{i}.q_proj": "blocks.{i}.mixx"})


def test_a_norm_of_heads_is_left_out_where_heads_and_tokens_are_as_many() -> None:
    class Heads(nn.Module):
        def __init__(self, turned: bool) -> None:
            super().__init__()
            self.words, self.norm, self.turned = nn.Embedding(10, 12), nn.LayerNorm(4), turned

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.words(tokens).unflatten(-1, (3, 4))
            return self.norm(x.transpose(1, 2)).transpose(1, 2) if self.turned else self.norm(x)

    for turned in (False, True):
        staged = Staged(Heads(turned), {"layers.0.q_norm": "norm"})
        assert staged.stages(TOKENS)["layers.0.q_norm"].shape == (2, 5, 3, 4)
        assert list(staged.stages(TOKENS[:, :3])) == ["logits"]
