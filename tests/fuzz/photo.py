"""Coverage-guided fuzzing of the photo reader and writer: python tests/fuzz/photo.py -max_total_time=300 CORPUS

Needs Atheris (pip install atheris), which no test does. CORPUS is a folder for inputs that reach new code; one photo of
each format is put there to begin with. A file that it calls crash-… goes to tests/fixtures/hostile, as small as
-minimize_crash=1 makes it: tests/test_hostile.py reads what lies there.
"""

import sys
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["faceedit", "PIL"]):
    from faceedit.errors import FileError
    from faceedit.media.image import READ_FORMATS, Photo, encode_photo, read_photo


def read_and_write(data: bytes) -> None:
    try:
        photo = read_photo(data)
        encode_photo(photo, photo.format)
    except FileError:
        pass


if __name__ == "__main__":
    for corpus in [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]:
        if corpus.is_dir():
            for name in READ_FORMATS:
                (corpus / f"seed-{name}").write_bytes(
                    encode_photo(Photo(np.eye(16, dtype=np.uint8)[..., None].repeat(3, 2)), name)
                )
    atheris.Setup(sys.argv, read_and_write)
    atheris.Fuzz()
