"""The same photo gives the same file, whatever lay in memory before."""

import os
import subprocess
import sys

import pytest

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF")
SCRIPT = """
import hashlib, sys
import numpy as np
from PIL import Image
from faceedit.media.image import Photo, encode_photo

exif = Image.Exif()
exif[0x010F], exif[0x0110] = "Maker", "Even"
exif.get_ifd(34665)[37386] = 3.5
dice = np.random.default_rng(0)
for height, width in ((16, 16), (33, 47), (200, 301)):
    *colours, alpha = dice.integers(0, 256, (4, height, width), np.uint8)
    pixels = np.dstack(colours)
    for photo in (
        Photo(pixels),
        Photo(pixels, alpha=alpha, xmp=b"<x:xmpmeta/>"),
        Photo(pixels[..., :1].repeat(3, 2), grey=True, exif=exif.tobytes(), icc=b"odd"),
    ):
        for name in sys.argv[1:]:
            print(name, height, hashlib.sha256(encode_photo(photo, name)).hexdigest())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone fills what is allocated")
def test_files_hold_nothing_that_lay_in_memory():
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, *FORMATS],
            env={**os.environ, "MALLOC_PERTURB_": fill},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for fill in ("1", "170")
    ]
    assert len(runs[0]) == 54
    assert runs[0] == runs[1]
