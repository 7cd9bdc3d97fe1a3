"""Writes a small Hugging Face checkpoint folder, to try `hf:DIR` without a download; any such folder works.

    python examples/hf_checkpoint.py qwen3 tiny-qwen3
    harness run builtin:model -k DECODER-TRAINED --candidate hf:tiny-qwen3

transformers (extra `hf`) reads the folder and computes the candidate's results. The float64 reference reads the same
files by itself. The first argument is a family, as transformers' `model_type`; a third names one of its variants (a
window, tied embeddings, another kind of RoPE). Without arguments the command lists both.
"""

import sys

from harness.errors import UserError
from harness.models.families import FAMILIES
from harness.models.families.folder import write


def main(arguments):
    if not 2 <= len(arguments) <= 3:
        print(*(f"{name}: {', '.join(family.variants)}" for name, family in FAMILIES.items()), sep="\n")
        return 2
    try:
        write(*arguments)
    except UserError as problem:
        print(problem, file=sys.stderr)
        return problem.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
