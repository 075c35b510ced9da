"""Files made to break their readers: only FaceEditError kinds come out, promptly, and with little memory.

FACEEDIT_FUZZ sets how many damaged files of each kind are tried; the default suits every run of the tests.
"""

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faceedit.errors import FaceEditError, UnreadableError, WeightsError
from faceedit.image import Photo, encode_photo, read_photo
from faceedit.weights import load_weights
from tests.conftest import draw_face

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF")
SEEDS = {name: encode_photo(Photo(draw_face(16), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), name) for name in FORMATS}
EXAMPLES = int(os.environ.get("FACEEDIT_FUZZ", "300"))
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """The bytes with up to four places overwritten, cut out, or filled."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        piece = draw(st.binary(max_size=12))
        removed = draw(st.sampled_from([0, len(piece), draw(st.integers(0, 64))]))
        data = data[:place] + piece + data[place + removed :]
    return data


def read_or_refuse(data: bytes) -> None:
    try:
        photo = read_photo(data)
    except UnreadableError:
        pass
    else:
        assert photo.pixels.ndim == 3
        assert photo.pixels.dtype == np.uint8


@pytest.mark.parametrize("name", FORMATS)
def test_every_beginning_of_a_photo_is_read_or_refused(name):
    for length in range(len(SEEDS[name])):
        read_or_refuse(SEEDS[name][:length])


@fuzz
@given(data=st.data())
def test_damaged_photos_are_read_or_refused(data):
    read_or_refuse(data.draw(damaged(SEEDS[data.draw(st.sampled_from(FORMATS))])))


@fuzz
@given(data=st.data())
def test_damaged_weights_are_loaded_or_refused(data, tiny_weights, tmp_path):
    original = tiny_weights.read_bytes()
    header = 8 + struct.unpack("<Q", original[:8])[0]
    path = tmp_path / "a.safetensors"
    # Most of the file is numbers, of which any is as good as another.
    path.write_bytes(data.draw(damaged(original[: header + 64])) + original[header + 64 :])
    with contextlib.suppress(WeightsError):
        load_weights(str(path))


def png_bomb() -> bytes:
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff_bomb() -> bytes:
    data = bytearray(encode_photo(Photo(draw_face(16)), "TIFF"))
    for tag in (256, 257):  # width and length, whatever their type
        place = data.index(struct.pack("<H", tag), struct.unpack("<I", data[4:8])[0])
        data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, 20_000)
    return bytes(data)


def webp_bomb() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + (16_382).to_bytes(3, "little") * 2
    body += SEEDS["WEBP"][12:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def avif_bomb() -> bytes:
    data = bytearray(encode_photo(Photo(draw_face(16)), "AVIF"))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 20_000, 20_000)
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_bomb, tiff_bomb, webp_bomb, avif_bomb])
def test_bombs_are_refused_within_little_memory(bomb, tmp_path):
    (tmp_path / "bomb").write_bytes(bomb())
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from faceedit.errors import UnreadableError\n"
        "from faceedit.image import read_photo\n"
        "try:\n    read_photo(Path(sys.argv[1]))\n"
        "except UnreadableError as error:\n    print(error)\n"
        "else:\n    print('it was read')\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bomb")]
    sentence, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sentence != "it was read"
    assert int(kilobytes) < 300_000


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 2)])
def test_photos_of_extreme_shape_are_read_and_show_no_face(size, tiny_editor):
    buffer = io.BytesIO()
    from PIL import Image

    Image.new("RGB", size).save(buffer, "PNG")
    pixels = read_photo(buffer.getvalue()).pixels
    assert pixels.shape == (size[1], size[0], 3)
    with pytest.raises(FaceEditError):
        tiny_editor.edit(pixels, 0.5, 0)


@pytest.mark.parametrize("name", ["a b.png", "a\nb.png", b"\xff\xfe.png", "-rf.png", "--help.png", "ünï.png"])
def test_names_of_any_kind_are_files(name, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), name if isinstance(name, bytes) else name.encode())
    with open(path, "wb") as file:
        file.write(SEEDS["PNG"])
    assert read_photo(os.fsdecode(path)).pixels.shape == (16, 16, 3)


def test_a_pipe_is_no_photo_and_does_not_make_us_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("pipe.jpg", "link.jpg", "loop.jpg"):
        with pytest.raises(UnreadableError):
            read_photo(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_photo_that_may_not_be_read_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(SEEDS["PNG"])
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UnreadableError, match="Permission"):
        read_photo(tmp_path / "a.png")
