"""Coverage-guided fuzzing of the weights reader: python tests/fuzz/weights.py -max_total_time=300 CORPUS

As tests/fuzz/photo.py, but a finding becomes a case of tests/test_weights.py. What is fuzzed is our own part of the
header: around it is safetensors' affair, which refuses nearly all that is changed there, and the rest is numbers, of
which any is a weight.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris
import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save

with atheris.instrument_imports(include=["faceedit"]):
    from faceedit.circumplex import Support
    from faceedit.config import EstimatorConfig
    from faceedit.errors import WeightsError
    from faceedit.weights import HEADER_KEY, build, load_weights, save_weights

FILE = Path(tempfile.mkdtemp()) / "fuzzed.safetensors"
save_weights(FILE, build(EstimatorConfig(16, "plain", (1, 1), 1)), Support(np.zeros(Support.SHAPE)), {})
TENSORS = load_file(FILE)


def load(header: bytes) -> None:
    FILE.write_bytes(save(TENSORS, {HEADER_KEY: header.decode(errors="replace")}))
    with contextlib.suppress(WeightsError):
        load_weights(str(FILE))


if __name__ == "__main__":
    for corpus in [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]:
        if corpus.is_dir():
            with safe_open(FILE, "pt") as file:
                (corpus / "seed").write_text(file.metadata()[HEADER_KEY])
    atheris.Setup(sys.argv, load)
    atheris.Fuzz()
