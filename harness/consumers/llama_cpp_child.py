"""The child process that runs llama.cpp: it reads job folders from stdin, one per line, and writes answers there."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

KEPT: list[Any] = []
ERROR = 4
"""GGML_LOG_LEVEL_ERROR."""


def main() -> None:
    """Serve jobs until the input ends."""
    engine = sys.argv[1]
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # llama.cpp prints to stdout, which the parent reads as answers: send that to stderr
    run = cyllama if engine == "cyllama" else xllamacpp
    for line in sys.stdin:
        folder = Path(line.strip())
        job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        answer = run(job["path"], job["request"], folder)
        (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")
        out.write(b"done\n")


def empty(build: str) -> dict[str, Any]:
    """An answer with empty fields."""
    found: dict[str, Any] = {"ok": False, "refusal": "", "log": [], "build": build, "logits": 0}
    return found | {"ids": [], "pieces": [], "generated": [], "speeds": []}


def cyllama(path: str, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Raw logits, tokens and greedy ids, through llama.h."""
    from cyllama.llama import llama_cpp as llama

    answer = empty(_version("cyllama"))
    log = (folder / "log.txt").open("a", encoding="utf-8", buffering=1)
    errors: list[str] = []

    def record(level: int, text: str) -> None:
        log.write(text)  # line-buffered: an abort would lose text in a larger buffer
        if level >= ERROR:
            errors.append(text.strip())

    llama.set_log_callback(record)

    class Model(llama.LlamaModel):
        """Adds n_vocab, which get_logits_ith reads from its model."""

        @property
        def n_vocab(self) -> int:
            return int(self.get_vocab().n_vocab)

    params = llama.LlamaModelParams()
    params.n_gpu_layers, params.use_mmap = 0, False
    try:
        model = Model(path, params)
    except Exception as problem:  # noqa: BLE001  (the binding raises several types; the log holds the reason)
        answer["refusal"] = " ".join(errors) or str(problem)
        return answer | {"log": errors}
    answer["ok"] = True
    vocab = model.get_vocab()
    answer["ids"] = [[int(i) for i in vocab.tokenize(text, False, request["special"])] for text in request["texts"]]
    answer["pieces"] = [_text(vocab, [int(i) for i in ids]) for ids in request["lists"]]
    context = _context(llama, model, request)
    for i, tokens in enumerate(request["tokens"]):
        context.kv_cache_clear()
        np.save(folder / f"logits_{i}.npy", _decode(llama, context, tokens, 0, every=True))
    answer["logits"] = len(request["tokens"])
    for prompt in request["prompts"]:
        answer["generated"].append(_greedy(llama, context, prompt, request["new_tokens"], vocab.is_eog))
    for _ in range(request["speed_runs"]):
        answer["speeds"].append(_speed(llama, context, model.n_vocab, request))
    return answer | {"log": errors}


def _text(vocab: Any, ids: list[int]) -> str:
    """Decode ids; the binding strips blanks, so a letter is put in front and then removed."""
    before = vocab.tokenize("x", False, False)
    return str(vocab.detokenize([*before, *ids], 65536, False, True)[1:])


def _context(llama: Any, model: Any, request: dict[str, Any]) -> Any:
    params = llama.LlamaContextParams()
    longest = max([len(t) for t in (*request["tokens"], *request["prompts"])], default=1)
    size = max(longest, request["speed_prompt"]) + request["new_tokens"] + 8
    params.n_ctx, params.n_batch, params.n_ubatch = size, size, size
    params.n_threads, params.n_threads_batch = request["threads"], request["threads"]
    params.flash_attn_type = 1 if request["flash_attention"] else 0
    params.type_k = params.type_v = {"f32": 0, "f16": 1}[request["kv"]]
    return llama.LlamaContext(model, params)


def _decode(llama: Any, context: Any, tokens: list[int], begin: int, *, every: bool) -> np.ndarray:
    """Logits (T, V) of the tokens at positions from `begin`, or (1, V) of the last."""
    batch = llama.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
    for i, token in enumerate(tokens):
        batch.add(int(token), begin + i, [0], every or i == len(tokens) - 1)
    context.decode(batch)
    wanted = range(len(tokens)) if every else [len(tokens) - 1]
    return np.array([context.get_logits_ith(i) for i in wanted], dtype=np.float32)


def _greedy(llama: Any, context: Any, prompt: list[int], count: int, ends: Callable[[int], bool]) -> list[int]:
    context.kv_cache_clear()
    row, made = _decode(llama, context, prompt, 0, every=False)[0], []
    while True:
        made.append(int(row.argmax()))
        if len(made) >= count or ends(made[-1]):
            return made
        row = _decode(llama, context, made[-1:], len(prompt) + len(made) - 1, every=False)[0]


def _speed(llama: Any, context: Any, vocab: int, request: dict[str, Any]) -> dict[str, float]:
    """Tokens per second of one prefill and of the decoding after it."""
    context.kv_cache_clear()
    prompt = [(7919 * i) % vocab for i in range(request["speed_prompt"])]
    began = time.perf_counter()
    row = _decode(llama, context, prompt, 0, every=False)[0]
    middle = time.perf_counter()
    for i in range(request["new_tokens"]):
        row = _decode(llama, context, [int(row.argmax())], len(prompt) + i, every=False)[0]
    done = time.perf_counter()
    made = float(request["new_tokens"])
    return {"prefill": len(prompt) / (middle - began), "decode": made / (done - middle), "made": made}


def xllamacpp(path: str, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Log-probabilities after the last token and greedy text, through llama.cpp's server."""
    import xllamacpp as x

    answer = empty(_version("xllamacpp"))
    log = folder / "log.txt"
    saved, target = os.dup(2), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 2)  # the exception's text is generic; the reason is on stderr
    try:
        server = _server(x, path, request)
        KEPT.append(server)  # destroying a server that has just started deadlocks, so it lives until the process ends
        answer["ok"] = True
        for i, tokens in enumerate(request["tokens"]):
            np.save(folder / f"logits_{i}.npy", _log_probabilities(server, tokens, request["extra"]["vocab"]))
        answer["logits"] = len(request["tokens"])
        for prompt in request["prompts"]:
            query = {"prompt": prompt, "n_predict": request["new_tokens"], "temperature": 0, "cache_prompt": False}
            answer["pieces"].append(server.handle_completions(query)["choices"][0]["text"])
    except RuntimeError as problem:
        answer["refusal"] = str(problem)
    finally:
        os.dup2(saved, 2)
        os.close(target)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.split(" E ", 1)[1].strip() for line in lines if " E " in line[:24]]
    if not answer["ok"]:
        answer["refusal"] = " ".join(errors) or answer["refusal"]
    return answer | {"log": errors}


def _server(x: Any, path: str, request: dict[str, Any]) -> Any:
    params = x.CommonParams()
    params.model.path = path
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_gpu_layers = 1024, 512, 512, 0
    params.n_parallel, params.warmup, params.fit_params = 1, False, False
    params.cpuparams.n_threads = request["threads"]
    kind = x.llama_flash_attn_type
    params.flash_attn_type = (
        kind.LLAMA_FLASH_ATTN_TYPE_ENABLED if request["flash_attention"] else kind.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    kv = {"f32": x.ggml_type.GGML_TYPE_F32, "f16": x.ggml_type.GGML_TYPE_F16}[request["kv"]]
    params.cache_type_k = params.cache_type_v = kv
    return x.Server(params)


def _log_probabilities(server: Any, tokens: list[int], vocab: int) -> np.ndarray:
    query = {"prompt": tokens, "n_predict": 1, "logprobs": vocab, "temperature": 0, "cache_prompt": False}
    entries = server.handle_completions(query)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    row = np.full((1, vocab), np.nan, dtype=np.float32)
    for entry in entries:
        row[0, entry["id"]] = entry["logprob"]
    return row


def _version(package: str) -> str:
    from importlib.metadata import version

    return f"{package} {version(package)}"


if __name__ == "__main__":
    main()
