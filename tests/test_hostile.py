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
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from faceedit import cli
from faceedit.cli.info import info
from faceedit.editing.editor import FaceEditor
from faceedit.errors import FaceEditError, UnreadableError, WeightsError
from faceedit.faces.identity import load_mobilefacenet
from faceedit.media.image import Photo, encode_photo, read_photo
from faceedit.training.checkpoint import STATE_FILE, load_state
from faceedit.weights import load_weights
from tests.conftest import FakeDetector, draw_face, face_at

FOUND = Path(__file__).parent / "fixtures" / "hostile"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF")
EXIF = Image.Exif()
EXIF[0x010F] = "Maker"
SEEDS = {name: encode_photo(Photo(draw_face(16), exif=EXIF.tobytes()), name) for name in FORMATS}
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


def read_or_refuse(data: bytes, formats=()) -> None:
    try:
        photo = read_photo(data)
    except UnreadableError:
        pass
    else:
        assert photo.pixels.ndim == 3
        assert photo.pixels.dtype == np.uint8
        for name in (photo.format, *formats):
            encode_photo(photo, name)


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
    buffer = io.BytesIO()
    Image.fromarray(draw_face(16)).save(buffer, "WEBP", lossless=True)
    data = bytearray(buffer.getvalue())
    place = data.index(b"VP8L") + 9  # width and height less 1, of 14 bits each
    data[place : place + 4] = struct.pack("<I", 16_382 | 16_382 << 14)
    return bytes(data)


def avif_bomb() -> bytes:
    data = bytearray(encode_photo(Photo(draw_face(16)), "AVIF"))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 16_000, 16_000)  # larger ones, the library refuses by itself
    return bytes(data)


@pytest.mark.parametrize("bomb", [png_bomb, tiff_bomb, webp_bomb, avif_bomb])
def test_bombs_are_refused_within_little_memory(bomb, tmp_path):
    (tmp_path / "bomb").write_bytes(bomb())
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from faceedit.errors import UnreadableError\n"
        "from faceedit.media.image import read_photo\n"
        "try:\n    read_photo(Path(sys.argv[1]))\n"
        "except UnreadableError as error:\n    print(error)\n"
        "else:\n    print('it was read')\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "bomb")]
    sentence, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "pixels" in sentence
    assert int(kilobytes) < 300_000


@pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000), (3, 2)])
def test_photos_of_extreme_shape_are_read_and_show_no_face(size, tiny_editor):
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    pixels = read_photo(buffer.getvalue()).pixels
    assert pixels.shape == (size[1], size[0], 3)
    with pytest.raises(FaceEditError):
        tiny_editor.edit(pixels, 0.5, 0)


def test_hundreds_of_faces_are_all_edited(tiny_editor):
    image = np.tile(draw_face(16), (10, 20, 1))
    tiny_editor.detector = FakeDetector([face_at(16 * x, 16 * y, 16) for x in range(20) for y in range(10)])
    changed = (tiny_editor.edit(image, 0.9, 0.4, face="all").image != image).any(-1)
    assert changed.reshape(10, 16, 20, 16).any((1, 3)).all()


@pytest.fixture
def edit(monkeypatch, capsysbinary, tiny_editor):
    """Runs `faceedit edit` on photos that are a face each: exit code, stdout, stderr."""
    tiny_editor.detector = FakeDetector([face_at(0, 0, 16)])
    monkeypatch.setattr(FaceEditor, "from_pretrained", lambda *arguments: tiny_editor)

    def runner(*arguments):
        command = ["faceedit", "edit", "--emotion", "happy", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, *capsysbinary.readouterr()

    return runner


def test_in_a_folder_of_anything_the_photos_are_edited_whatever_they_are_named(edit, tmp_path):
    names = ["a b.png", "a\nb.png", b"\xff\xfe.png", "-rf.png", "--help.png", "ünï.png", "[a]*.png", "jpeg.png"]
    names = [name if isinstance(name, bytes) else name.encode() for name in names]
    folder, out = os.fsencode(tmp_path / "in"), os.fsencode(tmp_path / "out")
    os.mkdir(folder)
    for name in names:
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(SEEDS["JPEG" if name == b"jpeg.png" else "PNG"])
    inside = tmp_path / "in"
    (inside / "link.png").symlink_to("a b.png")
    (inside / "gone.png").symlink_to("none.png")
    (inside / "loop.png").symlink_to("loop.png")
    (inside / "folder.png").mkdir()
    os.mkfifo(inside / "pipe.png")
    (inside / "empty.png").touch()
    (inside / "text.png").write_text("no photo")
    code, shown, told = edit(inside, "-o", tmp_path / "out")
    assert code == 7
    assert b"2 of 11 photos failed" in told
    assert b"Traceback" not in told
    made = {name.removesuffix(b".png") + b"-edited.png" for name in [*names, b"link.png"]}
    assert set(os.listdir(out)) == made
    assert b"\xff\xfe-edited.png" in shown
    for name in made:
        with Image.open(os.path.join(out, name)) as image:
            assert (image.format, image.size) == ("PNG", (16, 16))


def test_of_several_pictures_the_first_is_edited_and_that_is_said(edit, tmp_path):
    first, second = Image.fromarray(draw_face(16)), Image.new("RGB", (16, 16))
    for suffix in ("webp", "png", "gif"):
        first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    for suffix in ("webp", "png"):
        code, _, told = edit(tmp_path / f"a.{suffix}", "-o", tmp_path / "out.png", "--overwrite")
        assert (code, b"the first is taken" in told) == (0, True)
        assert read_photo(tmp_path / "out.png").pixels.mean() > 50
    assert edit(tmp_path / "a.gif", "-o", tmp_path / "none.png")[0] == 4
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried …"),
        cv2.error("OpenCV(5.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"),
    ],
)
@pytest.mark.parametrize("place", ["faceedit.editing.editor.FaceEditor.encode", "faceedit.batch.write_photo"])
def test_memory_that_runs_out_is_a_sentence(edit, tmp_path, monkeypatch, error, place):
    def full(*arguments):
        raise error

    monkeypatch.setattr(place, full)
    (tmp_path / "a.png").write_bytes(SEEDS["PNG"])
    code, shown, told = edit(tmp_path / "a.png")
    assert (code, shown) == (6, b"")
    assert told.count(b"\n") == 1
    assert b"not enough memory" in told
    assert os.listdir(tmp_path) == ["a.png"]


def test_names_that_no_file_can_have_are_refused(tmp_path):
    for name in ("a" * 300, "a\0b"):
        with pytest.raises(UnreadableError):
            read_photo(tmp_path / name)


@pytest.mark.parametrize("path", sorted(FOUND.iterdir()), ids=lambda path: path.name)
def test_what_fuzzing_found_is_written_in_every_format_or_refused(path):
    read_or_refuse(path.read_bytes(), FORMATS)


def test_a_pipe_is_no_photo_and_does_not_make_us_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name in ("pipe.jpg", "link.jpg", "loop.jpg"):
        with pytest.raises(UnreadableError):
            read_photo(tmp_path / name)
        with pytest.raises(UnreadableError):
            info(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_photo_that_may_not_be_read_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(SEEDS["PNG"])
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(UnreadableError, match="Permission"):
        read_photo(tmp_path / "a.png")


class Runs:
    """What a pickle that holds it does when it is loaded: it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "it ran")


def test_a_pickle_never_runs(tmp_path):
    sentinel = tmp_path / "sentinel"
    evil = {"weight": Runs(sentinel)}
    for name, reader in (
        ("a.safetensors", lambda path: load_weights(str(path))),
        ("a.safetensors", load_mobilefacenet),
        ("a.pt", load_mobilefacenet),
        (STATE_FILE, lambda path: load_state(path.parent)),
    ):
        torch.save(evil, tmp_path / name)
        with pytest.raises(FaceEditError):
            reader(tmp_path / name)
        assert not sentinel.exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert sentinel.read_text() == "it ran"
