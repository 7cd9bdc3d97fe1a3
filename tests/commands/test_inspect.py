"""`harness inspect`: what it says of files that other people's code wrote, and of files made to hurt it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.commands.main import main
from harness.formats import gguf_header, safetensors_header
from harness.formats.errors import Malformed
from harness.formats.inspection import inspect

MEMORY = 200 << 20
"""Bytes that no file may make a reader's process hold."""
READER = """
import sys, time
from harness.formats.errors import Malformed
from harness.formats.inspection import inspect
slowest = 0
for path in sys.argv[1:]:
    began = time.process_time()
    try:
        inspect(path)
    except Malformed:
        pass
    slowest = max(slowest, time.process_time() - began)
most = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(most.split()[1]) * 1024, slowest)
"""


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A file by the gguf package with every kind of key and three types of tensors."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_float32("qwen2.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_array("qwen2.sections", [1, 2, 3])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "é", "[PAD3]"])
    writer.add_token_types([1, 1, 3, 5])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(2)
    x = np.arange(128, dtype=np.float32).reshape(2, 64)
    writer.add_tensor("token_embd.weight", x)
    writer.add_tensor("output_norm.weight", x[0])
    kind = gguf.GGMLQuantizationType.Q4_0
    writer.add_tensor("blk.0.ffn_up.weight", gguf.quants.quantize(x, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.ones((3, 4), np.float32), "n": np.zeros(5, np.float16)}, path, metadata={"format": "pt"})
    return path


def test_a_gguf_is_told_key_by_key_and_tensor_by_tensor(packed: Path, capsys: Any) -> None:
    assert main(["inspect", str(packed), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    read = gguf.GGUFReader(packed)
    assert {t["name"]: (t["type"], t["shape"], t["bytes"]) for t in told["tensors"]} == {
        t.name: (t.tensor_type.name, [int(n) for n in t.shape[::-1]], t.n_bytes) for t in read.tensors
    }
    assert set(told["keys"]) == {name for name in read.fields if not name.startswith("GGUF.")}
    assert told["keys"]["qwen2.sections"] == {"length": 3, "first": [1, 2, 3]}
    assert told["tokenizer"] == {
        "model": "gpt2",
        "pre": None,
        "tokens": 4,
        "unused": 1,
        "merges": 1,
        "special_ids": {"eos": 2},
        "chat_template": False,
    }
    assert told["totals"]["parameters"] == 128 + 64 + 128
    assert main(["inspect", str(packed)]) == 0
    shown = capsys.readouterr().out
    assert "token_embd.weight" in shown
    assert "3 tensors, 320 parameters" in shown


def test_a_safetensors_file_is_told_and_its_name_does_not_matter(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "renamed.gguf"
    other.write_bytes(saved.read_bytes())
    for path in (saved, other):
        told = inspect(path)
        assert told["format"] == "safetensors"
        assert {t["name"]: (t["type"], t["shape"]) for t in told["tensors"]} == {
            "w": ("F32", [3, 4]),
            "n": ("F16", [5]),
        }
        assert told["keys"] == {"format": "pt"}


def text(name: str) -> bytes:
    return struct.pack("<Q", len(name.encode())) + name.encode()


def header(tensors: int, keys: int, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + body


def tensor(name: str, shape: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def named(entry: Any, data: bytes = b"") -> bytes:
    written = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
    return struct.pack("<Q", len(written)) + written + data


def entry(**changed: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changed}


HUGE = (1 << 64) - 1
HOSTILE = {
    "empty": (b"", "the file is empty"),
    "three bytes": (b"GGU", "the header's length needs 8 bytes"),
    "tensor count": (header(HUGE, 0), f"the header counts {HUGE} tensors, expected at most"),
    "key count": (header(0, HUGE), f"the header counts {HUGE} keys"),
    "no keys": (header(0, 9), "length of key 0 of 9 needs 8 bytes"),
    "version": (b"GGUF" + struct.pack("<IQQ", 77, 0, 0), "found GGUF version 77, expected 2 or 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "the file is big-endian"),
    "name past the end": (header(0, 1, struct.pack("<Q", 1 << 62)), "key 0 of 1 needs 4611686018427387904 bytes"),
    "array past the end": (
        header(0, 1, text("k") + struct.pack("<IIQ", 9, 4, 1 << 21)),
        "elements of key 'k' needs",
    ),
    "strings past the end": (
        header(0, 1, text("k") + struct.pack("<IIQ", 9, 8, 1 << 19)),
        "string 0 of 'k' at offset .* passes the end",
    ),
    "a million million strings": (
        header(0, 1, text("k") + struct.pack("<IIQ", 9, 8, 1 << 40)),
        "counts 1099511627776 strings, expected at most",
    ),
    "nested arrays": (
        header(0, 1, text("k") + struct.pack("<IIQ", 9, 9, 1) * 1000),
        "key 'k' holds an array of arrays",
    ),
    "text without end": (
        header(0, 1, text("k") + struct.pack("<IQ", 8, 2 << 20) + b"a" * (2 << 20)),
        "value of key 'k' is 2097152 bytes long, expected at most",
    ),
    "much text": (
        header(0, 9, b"".join(text(f"k{i}") + struct.pack("<I", 8) + text("a" * (1 << 20)) for i in range(9))),
        "brings its strings to over 8388608 bytes",
    ),
    "millions of numbers": (
        header(0, 1, text("tokenizer.ggml.token_type") + struct.pack("<IIQ", 9, 0, 5_000_000) + b"\5" * 5_000_000),
        "counts 5000000 numbers, expected at most 4194304 in all arrays",
    ),
    "a million strings twice": (
        header(0, 2, b"".join(text(k) + struct.pack("<IIQ", 9, 8, 1 << 20) + bytes(8 << 20) for k in "ab")),
        "key 'b' counts 1048576 strings, expected at most 1048576 in all arrays",
    ),
    "two keys": (header(0, 2, (text("k") + struct.pack("<IB", 0, 1)) * 2), "key 'k' appears twice"),
    "not UTF-8": (header(0, 1, struct.pack("<Q", 2) + b"\xff\xfe"), "is not UTF-8"),
    "value type": (header(0, 1, text("k") + struct.pack("<I", 99)), "key 'k' has value type 99"),
    "alignment": (
        header(0, 1, text("general.alignment") + struct.pack("<II", 4, 0)),
        "general.alignment is 0, expected a power of two",
    ),
    "two tensors": (header(2, 0, tensor("t") * 2), "tensor 't' appears twice"),
    "offset past the end": (
        header(1, 0, tensor("t", offset=1 << 60)),
        "tensor 't' is at data offset 1152921504606846976",
    ),
    "shape past the end": (header(1, 0, tensor("t", (1 << 40, 1 << 20))), "tensor 't' ends at data offset"),
    "dimensions": (header(1, 0, tensor("t", (1,) * 9)), "tensor 't' has 9 dimensions, expected 1 to 4"),
    "tensor type": (header(1, 0, tensor("t", kind=4)), "tensor 't' has type 4, expected one of"),
    "ragged row": (
        header(1, 0, tensor("t", (33,), kind=2)),
        "tensor 't': row of 33 elements, expected a multiple of 32",
    ),
    "empty dimension": (header(1, 0, tensor("t", (0,))), "expected no empty dimension"),
    "long name": (header(1, 0, tensor("n" * 500)), "expected 1 to 63 bytes"),
    "length of the header": (struct.pack("<Q", 1 << 50) + b"{}", "the header claims 1125899906842624 bytes"),
    "header past the end": (struct.pack("<Q", 900) + b"{}", "the header needs 900 bytes at offset 8"),
    "no JSON": (named(b"hello"), "the header is not JSON"),
    "a list": (named(b"[]"), "expected"),
    "deep nesting": (named(b"[" * 100_000), "too deeply nested"),
    "a million values": (named(b"[" + b"1," * 3_000_000 + b"1]"), "the header holds over 1100000 values"),
    "a million objects": (
        named(b"{" + b",".join(b'"%d":{}' % i for i in range(200_000)) + b"}"),
        "the header holds over 65536 tensors",
    ),
    "half a million notes": (
        named(b'{"__metadata__":{' + b",".join(b'"%d":""' % i for i in range(500_000)) + b"}}"),
        "the header holds over 1100000 values",
    ),
    "a long number": (named(b'{"w":' + b"1" * 5_000 + b"}"), "the header is not JSON"),
    "duplicate names": (
        named(b'{"w":' + json.dumps(entry()).encode() + b',"w":' + json.dumps(entry()).encode() + b"}", b"\0" * 4),
        "'w' appears twice",
    ),
    "dtype": (named({"w": entry(dtype="F31")}, b"\0" * 4), "tensor 'w' has dtype 'F31', expected one of"),
    "negative shape": (named({"w": entry(shape=[-1])}, b"\0" * 4), "a shape that is not up to 8 whole numbers"),
    "huge shape": (named({"w": entry(shape=[1 << 62] * 8)}, b"\0" * 4), "tensor 'w' takes 4 bytes, but F32"),
    "overlap": (named({"a": entry(), "b": entry()}, b"\0" * 4), "tensor 'b' begins at data offset 0, expected 4"),
    "hole": (named({"a": entry(data_offsets=[4, 8])}, b"\0" * 8), "tensor 'a' begins at data offset 4, expected 0"),
    "cut short": (named({"a": entry()}, b"\0" * 3), "but the file holds 3; it was cut short"),
    "bytes left over": (named({"a": entry()}, b"\0" * 5), "the tensors end at data offset 4, but the file holds 5"),
    "no offsets": (named({"a": {"dtype": "F32"}}), "expected dtype, shape and data_offsets"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_line_at_once(name: str, tmp_path: Path, capsys: Any) -> None:
    content, words = HOSTILE[name]
    path = tmp_path / "hostile"
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(Malformed, match=words) as found:
        inspect(path)
    assert time.process_time() - began < 10
    assert "\n" not in str(found.value)
    assert len(str(found.value)) < 600
    assert main(["inspect", str(path)]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert "hostile" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("kind", ["packed", "saved"])
def test_no_cut_and_no_flipped_byte_does_more_than_one_line(kind: str, request: Any, tmp_path: Path) -> None:
    """Every cut is found; a flipped byte is found or leaves a header that still fits its file."""
    whole = request.getfixturevalue(kind).read_bytes()
    padding = 24 if kind == "packed" else 0  # after the last tensor, and nobody's
    path, rng, found = tmp_path / "hurt", np.random.default_rng(0), 0
    for cut in rng.integers(0, len(whole) - padding, 200):
        path.write_bytes(whole[:cut])
        with pytest.raises(Malformed):
            inspect(path)
    for _ in range(600):
        hurt = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            hurt[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(hurt)
        found += _refused(path)
    assert found > 100


def _refused(path: Path) -> bool:
    try:
        inspect(path)
    except Malformed as problem:
        return "\n" not in str(problem)
    return False


def test_memory_and_time_hold_in_a_process_of_its_own(tmp_path: Path) -> None:
    """A vocabulary of a million strings and a header of 60,000 tensors: what is allowed is cheap too."""
    strings = tmp_path / "strings.gguf"
    strings.write_bytes(header(0, 1, text("k") + struct.pack("<IIQ", 9, 8, 1 << 20) + text("ab") * (1 << 20)))
    entries = tmp_path / "entries.safetensors"
    entries.write_bytes(named({f"w{i}": {"dtype": "F32", "shape": [], "data_offsets": [4 * i, 4 * i + 4]}
                               for i in range(60_000)}, b"\0" * 240_000))  # fmt: skip
    paths = [strings, entries]
    for i, (content, _) in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{i}.bin")
        paths[-1].write_bytes(content)
    done = subprocess.run([sys.executable, "-c", READER, *map(str, paths)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    most, slowest = map(float, done.stdout.split())
    assert 5 << 20 < most < MEMORY
    assert slowest < 10  # the defect it guards against took 262 s


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none", "No such file"), (tmp_path, "found no .*safetensors")):
        with pytest.raises(Malformed, match=words):
            inspect(path)
    (tmp_path / "model.safetensors").write_bytes(named({}))
    (tmp_path / "config.json").write_text("[" * 50_000)
    with pytest.raises(Malformed, match=r"config\.json: cannot be read as JSON"):
        inspect(tmp_path)
    for reader in (gguf_header, safetensors_header):
        with pytest.raises(Malformed, match="cannot be read"):
            reader.read(tmp_path / "none")
