"""Damaged inputs of every parser that reads what others wrote: each is read, or refused by the parser's own error.

Each input is a right one with a few bytes turned, cut out, doubled, or replaced by a number or a word that hurts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from harness.candidates.process import answer
from harness.contract.text.reader import load_yaml
from harness.errors import UserError
from harness.evidence import shape, store
from harness.falsifiers.itself.shop import CLAIM, HEAD, open_shop
from harness.formats import gguf_header, safetensors_header
from harness.formats.errors import Malformed
from harness.subject.isolation import wire
from tests.sample import kinds_first

EACH = 1_000
"""Inputs of one test."""
SLOWEST = 5.0
"""Seconds that no input may take; the slowest of millions took a few milliseconds on an idle machine."""
HURTS = (
    *(b"\x00", b"\xff" * 8, b"\xff\xff\xff\x7f", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\\ud800", b"-1", b"1e999", b"NaN"),
    *(b"null", b"true", b"[" * 40, b"{" * 40, b'"', b"'", b": ", b"- ", b"&a ", b"*a", b"!!python/object:os.system "),
    *(b"999999999999999999999999", b"../", b"\r", b"\t", b"#", b"%", b"<<: ", b"? ", b"|\n", b"}", b"]", b"\n---\n"),
)


def damaged(draw: random.Random, right: bytes) -> bytes:
    """The bytes with one to four damages."""
    data = bytearray(right)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, kind = draw.randrange(len(data) + 1), draw.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at : at + draw.choice((1, 2, 8, 64))]
        elif kind == 2:
            data[at:at] = data[at : at + draw.choice((1, 8, 64))]
        elif kind == 3:
            del data[at:]
        else:
            word = draw.choice(HURTS)
            data[at : at + (len(word) if kind == 4 else 0)] = word
    return bytes(data)


class Parser:
    """A function that reads a file, right inputs of it, and its own error."""

    def __init__(self, read: Callable[[Path], object], refuses: type[Exception], right: list[bytes], name: str) -> None:
        self.read, self.refuses, self.right, self.name = read, refuses, right, name


def _contract(path: Path) -> None:
    _, _, problems = load_yaml(path)
    assert all(str(problem) for problem in problems)


def _evidence(path: Path) -> None:
    found = store.read_json(path)
    assert all(isinstance(fault, str) for name in ("run", "result") for fault in shape.of_body(found, name))


def _wire(path: Path) -> None:
    wire.decode(path.read_bytes(), lambda number: number)


def _gguf(path: Path) -> bytes:
    """A small file by llama.cpp's own package."""
    import gguf

    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_uint32("qwen2.block_count", 2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ß"])
    writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    run = open_shop(tmp_path_factory.mktemp("shop"))[1]
    results = [path.read_bytes() for path in [run / "run.json", *run.glob("claims/*/result.json")]]
    text = HEAD.format(id="doubling", after="") + CLAIM.format(id="FALSIFY-A-001", falsifier="doubles", on="cpu")
    tensors = save({"out": np.ones((2, 3), np.float32), "y": np.arange(4, dtype=np.int64)})
    answers = [{"a": np.ones(3)}, [np.arange(4), (1, 2.5, None, "x", b"y")], np.float32(3)]
    sent = [wire.encode(each, lambda value: 7) for each in answers]
    return {
        "contract": Parser(_contract, UserError, [text.encode()], "contracts (YAML)"),
        "evidence": Parser(_evidence, UserError, results, "run.json and result.json"),
        "safetensors": Parser(safetensors_header.read, Malformed, [tensors], "safetensors headers"),
        "gguf": Parser(gguf_header.read, Malformed, [_gguf(run.parent / "right.gguf")], "GGUF headers"),
        "answer": Parser(
            lambda path: answer.read(path.parent, ["out", "y"]), answer.BadAnswer, [tensors], "`exec:` answers"
        ),
        "isolated": Parser(_wire, wire.Malformed, sent, "answers of an isolated candidate"),
    }


NAMES = ("contract", "evidence", "safetensors", "gguf", "answer", "isolated")
CHUNKS, KINDS = kinds_first([(name, seed) for name in NAMES for seed in range(1000)], lambda each: each[0])


@pytest.mark.sample(KINDS)
@pytest.mark.parametrize(("name", "seed"), CHUNKS)
def test_a_damaged_input_is_read_or_refused_by_the_parsers_own_error(
    parsers: dict[str, Parser], tmp_path: Path, name: str, seed: int, figure: Any
) -> None:
    parser, draw, path = parsers[name], random.Random(f"{name}/{seed}"), tmp_path / "outputs.safetensors"
    refused, slowest = 0, 0.0
    for right in parser.right:
        path.write_bytes(right)
        parser.read(path)
    for number in range(EACH):
        data = damaged(draw, draw.choice(parser.right))
        path.write_bytes(data)
        began = time.thread_time()
        told = ""
        try:
            parser.read(path)
        except parser.refuses as error:
            told = str(error)
        except Exception as error:
            raise AssertionError(f"input {number} of seed {seed}: {data[:4000]!r}") from error
        refused += bool(told)
        assert "\n" not in told, (number, told)
        slowest = max(slowest, time.thread_time() - began)
    assert refused > EACH // 50 or name == "contract", "the damage is too small to be seen"
    assert slowest < SLOWEST
    figure(f"damaged {parser.name}: inputs", EACH)
    figure(f"damaged {parser.name}: the slowest, in milliseconds of CPU time", round(1000 * slowest), "most")
