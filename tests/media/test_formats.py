"""Files as cameras, phones and programs write them: each is read as what it shows, or refused with a sentence."""

import base64
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UnreadableError
from faceedit.media import deep, exif, jpeg, png
from faceedit.media.formats import KEEPS, READ_FORMATS, WRITE_FORMATS
from faceedit.media.image import encode_photo, read_photo, write_photo
from tests.conftest import ASTRONAUT, draw_face


@pytest.fixture
def pixels():
    return draw_face(64)


def saved(pixels, name, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, name, **options)
    return buffer.getvalue()


def test_every_format_that_is_written_is_read_and_says_what_it_keeps():
    assert set(WRITE_FORMATS.values()) == set(READ_FORMATS) == set(KEEPS)


def test_the_documentation_says_what_each_format_keeps():
    fields = {
        "EXIF": "exif", "XMP": "xmp", "colour profile": "icc", "IPTC and Photoshop's resources": "photoshop",
        "comments": "comments", "further texts": "texts", "resolution": "dpi", "transparency": "alpha",
        "16 bits a sample": "deep",
    }  # fmt: skip
    page = (ASTRONAUT.parents[1] / "docs" / "edit.md").read_text()
    head, _, *rows = [line for line in page.partition("## What of a file")[2].splitlines() if line.startswith("|")]
    columns = [name.strip().upper().replace("HEIC", "HEIF") for name in head.split("|")[2:-1]]
    said = {name: set() for name in columns}
    for row in rows[: len(fields)]:
        what, *cells = [cell.strip() for cell in row.split("|")[1:-1]]
        for name, cell in zip(columns, cells, strict=True):
            said[name] |= {fields[what]} if cell == "yes" else set()
    assert said == KEEPS


@pytest.mark.parametrize("suffix", ["heic", "HEIF", "hif"])
def test_heic_is_read_and_written(tmp_path, pixels, suffix):
    photo = read_photo(saved(pixels, "HEIF", quality=95))
    assert photo.format == "HEIF"
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 3
    write_photo(tmp_path / f"a.{suffix}", photo)
    assert (tmp_path / f"a.{suffix}").read_bytes()[4:8] == b"ftyp"
    assert np.abs(read_photo(tmp_path / f"a.{suffix}").pixels.astype(int) - photo.pixels).mean() < 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_heic_keeps_transparency_and_grey_values(pixels, channels):
    grey = pixels[..., :1]
    samples = np.dstack([grey if channels < 3 else pixels, grey])[..., : channels if channels != 1 else 1].squeeze()
    photo = read_photo(saved(samples, "PNG"))
    again = read_photo(encode_photo(photo, "HEIF"))
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 2
    assert (again.alpha is None) == (channels in (1, 3))
    if again.alpha is not None:
        assert np.abs(again.alpha.astype(int) - photo.alpha).mean() < 2


def test_of_a_heic_of_several_pictures_the_primary_is_read_and_the_others_are_named(pixels):
    first, second = Image.fromarray(pixels), Image.new("RGB", (64, 64))
    buffer = io.BytesIO()
    first.save(buffer, "HEIF", save_all=True, append_images=[second], primary_index=0, quality=95)
    photo = read_photo(buffer.getvalue())
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 3
    assert photo.lost == (jpeg.PICTURES,)


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
def test_a_turned_heic_is_read_upright_once(pixels, orientation):
    block = Image.Exif()
    block[274] = orientation
    photo = read_photo(saved(pixels[:, :40], "HEIF", exif=block.tobytes(), quality=95))
    plain = read_photo(saved(pixels[:, :40], "PNG", exif=block.tobytes()))
    assert photo.pixels.shape == plain.pixels.shape
    assert np.abs(photo.pixels.astype(int) - plain.pixels).mean() < 3
    assert read_photo(encode_photo(photo, "HEIF")).pixels.shape == photo.pixels.shape


def test_of_an_mpo_the_first_picture_is_edited(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64))], quality=95)
    photo = read_photo(buffer.getvalue())
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 4
    assert (photo.format, photo.lost) == ("JPEG", (jpeg.PICTURES,))
    assert read_photo(encode_photo(photo, "JPEG")).lost == ()


def renumbered(data: bytes, new=(2, 3)) -> bytes:
    """A JPEG whose quantisation tables have other ids."""
    made = bytearray(data)
    place = 2
    table = 0
    while made[place + 1] != jpeg.SCAN:
        length = int.from_bytes(made[place + 2 : place + 4], "big")
        if made[place + 1] == 0xDB:
            for at in range(place + 4, place + 2 + length, 65):
                made[at], table = new[table], table + 1
        elif made[place + 1] in (0xC0, 0xC2):
            for component in range(made[place + 9]):
                at = place + 12 + 3 * component
                made[at] = new[made[at]]
        place += 2 + length
    return bytes(made)


@pytest.mark.parametrize("new", [(2, 3), (3, 0), (1, 0), (1, 2)])
def test_a_jpeg_with_tables_of_any_ids_is_written_with_their_values(pixels, new, caplog):
    plain = saved(pixels, "JPEG", quality=61)
    photo = read_photo(renumbered(plain, new))
    assert np.array_equal(photo.pixels, read_photo(plain).pixels)
    with Image.open(io.BytesIO(plain)) as a, Image.open(io.BytesIO(encode_photo(photo, "JPEG"))) as b:
        assert a.quantization == b.quantization
    assert caplog.messages == []


# draw_face(32) by `cjpeg -arithmetic -quality 50`: Pillow reads this coding and does not write it.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABALDA4MChAODQ4SERATGCgaGBYWGDEjJR0oOjM9PDkzODdASFxOQERXRTc4UG1RV19iZ2hnPk1xeX"
    "BkeFxlZ2P/2wBDARESEhgVGC8aGi9jQjhCY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2NjY2P/yQARCAAg"
    "ACADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD4y9AtjEWPyvBFb/DDdRBW/Y0Je+M4/bBli81as4/St8VVtKMSqCx2TfV4TA"
    "05Sbg7WQ9lHaGFcJdvDTE87bL+ugzLGmpN96u2MXtxa/VI+3t9richtAwXwx2ndkwT4tr1bPfe3K9KHMn6nEYN/F+CIfrfaP8AstcCKX/Xn5cb"
    "tBu0Ss5baIBwOHKHN8fliezffbnTHidjIHn0ORRVd5XEre/ssRuuDgYnJwyYHCsfY4tZXeKU9EAKM33pdWlrzCyD7CPhKGT/2Q=="
)


@pytest.mark.parametrize("block", [100, 65536])
def test_a_jpeg_in_arithmetic_coding_is_read_whatever_its_length(block, monkeypatch):
    plain = read_photo(saved(draw_face(32), "JPEG", quality=50))
    with monkeypatch.context() as patched:
        patched.setattr("PIL.ImageFile.MAXBLOCK", block)
        photo = read_photo(ARITHMETIC)
    assert np.array_equal(photo.pixels, plain.pixels)
    assert np.abs(read_photo(encode_photo(photo, "JPEG")).pixels.astype(int) - photo.pixels).mean() < 2
    with pytest.raises(UnreadableError):
        read_photo(ARITHMETIC[:300])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_read_without_its_end_marker_but_not_without_its_data(pixels, progressive, mode):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=90, progressive=progressive)
    whole = buffer.getvalue()
    assert np.array_equal(read_photo(whole[:-2]).pixels, read_photo(whole).pixels)
    assert np.array_equal(read_photo(whole[:-1]).pixels, read_photo(whole).pixels)
    for cut in (12, 40, len(whole) // 3):
        with pytest.raises(UnreadableError, match="truncated"):
            read_photo(whole[:-cut])


def test_a_progressive_jpeg_without_its_last_scans_is_refused(pixels):
    whole = saved(pixels, "JPEG", quality=90, progressive=True)
    scans = [match.start() for match in jpeg.MARKER.finditer(whole) if match[0] in (b"\xff\xda", b"\xff\xc4")]
    for place in scans[-3:]:
        with pytest.raises(UnreadableError, match="truncated"):
            read_photo(whole[:place])


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": 2}, {"restart_marker_rows": 1}, {"optimize": True}]
)
def test_a_jpeg_is_written_as_it_was(pixels, options):
    plain = saved(pixels, "JPEG", quality=75, **options)
    with (
        Image.open(io.BytesIO(encode_photo(read_photo(plain), "JPEG"))) as again,
        Image.open(io.BytesIO(plain)) as file,
    ):
        assert bool(again.info.get("progressive")) == bool(file.info.get("progressive"))
        assert again.layer == file.layer
    assert (
        np.abs(read_photo(encode_photo(read_photo(plain), "JPEG")).pixels.astype(int) - read_photo(plain).pixels).mean()
        < 1
    )


def tiff_of(tags: exif.Tags, pixels) -> bytes:
    return exif.with_tags(deep.tiff(pixels), None, tags)


def short(value: int) -> tuple[int, int, bytes]:
    return 3, 1, struct.pack("<H", value)


@pytest.mark.parametrize(
    "tags",
    [
        {50706: (1, 4, b"\1\4\0\0")},  # DNG
        {254: (4, 1, struct.pack("<I", 1))},  # a thumbnail first, as NEF, ARW, SRW and DNG have it
        {262: short(32803)},  # a mosaic
        {259: short(34713)},  # Nikon's compression
    ],
)
@pytest.mark.parametrize("name", ["a.dng", "a.nef", "a.tif"])
def test_a_cameras_raw_file_is_refused_whatever_its_name(tmp_path, pixels, tags, name):
    data = deep.tiff(pixels)
    place = len(data) + len(data) % 2
    own = exif._tags(data, exif.read_header(data)[2])
    (tmp_path / name).write_bytes(
        data[:4] + struct.pack("<I", place) + data[8:].ljust(place - 8, b"\0") + exif.assembled("<", own | tags, place)
    )
    with pytest.raises(UnreadableError, match="raw file"):
        read_photo(tmp_path / name)


@pytest.mark.parametrize(
    "start",
    [
        b"II*\0\x10\0\0\0CR\2\0" + bytes(8),
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx ",
        b"FOVb",
    ],
)
def test_raw_files_that_are_no_tiff_are_refused_too(start):
    with pytest.raises(UnreadableError, match="raw file"):
        read_photo(start + bytes(200))


def test_a_raw_file_whose_sensor_lies_in_an_inner_folder_is_refused(pixels):
    data = deep.tiff(pixels)
    place = len(data) + len(data) % 2
    inner = exif.assembled("<", {256: short(64), 262: short(32803)}, place)
    data = data.ljust(place, b"\0") + inner
    place = len(data)
    own = exif._tags(data, exif.read_header(data)[2])
    own[330] = (4, 1, struct.pack("<I", len(deep.tiff(pixels)) + len(deep.tiff(pixels)) % 2))
    with pytest.raises(UnreadableError, match="raw file"):
        read_photo(data[:4] + struct.pack("<I", place) + data[8:] + exif.assembled("<", own, place))


def test_a_tiff_of_pages_is_refused_and_one_with_a_smaller_copy_is_not(pixels):
    buffer = io.BytesIO()
    first, second = Image.fromarray(pixels), Image.new("RGB", (64, 64))
    first.save(buffer, "TIFF", save_all=True, append_images=[second, second])
    with pytest.raises(UnreadableError, match="TIFF of 3 pages"):
        read_photo(buffer.getvalue())
    small = Image.new("RGB", (16, 16))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=[small])
    assert np.array_equal(read_photo(buffer.getvalue()).pixels, pixels)


def test_ten_bits_are_named_where_eight_are_kept(pixels, caplog):
    samples = pixels.astype(np.uint16) * 257
    _, png = cv2.imencode(".png", samples)
    for name in ("JPEG", "WEBP", "HEIF", "AVIF"):
        caplog.clear()
        encode_photo(read_photo(png.tobytes()), name)
        assert "16 bits a sample" in caplog.text


DAMAGED_CHUNKS = [
    (b"gAMA", b"\0"),
    (b"cHRM", b"\0" * 5),
    (b"pHYs", b"\0"),
    (b"sRGB", b""),
    (b"iCCP", b"name\0\1what method"),
    (b"acTL", b"\0"),
    (b"zTXt", b"key\0\0" + zlib.compress(b" " * 2_000_000)),  # more than Pillow reads
]


@pytest.mark.parametrize("chunk", DAMAGED_CHUNKS, ids=lambda chunk: chunk[0].decode())
def test_a_png_is_worth_more_than_a_chunk_beside_its_picture(pixels, chunk):
    head, *rest = png.chunks(saved(pixels, "PNG"))
    photo = read_photo(png.assembled([head, (b"tEXt", b"Title\0kept"), chunk, *rest]))
    assert np.array_equal(photo.pixels, pixels)
    assert photo.lost == (f"its chunk {chunk[0].decode()}, which cannot be read",)
    assert photo.texts == ((b"tEXt", b"Title\0kept"),)
    assert read_photo(encode_photo(photo, "PNG")).lost == ()


def test_a_png_whose_checksums_are_wrong_is_read_where_its_picture_is_whole(pixels):
    head, *rest = png.chunks(saved(pixels, "PNG"))
    data = png.assembled([head, (b"tEXt", b"Title\0a"), *rest])
    photo = read_photo(data.replace(b"Title\0a", b"Title\0b"))
    assert np.array_equal(photo.pixels, pixels)
    assert photo.lost == ("its chunk tEXt, which cannot be read",)
    with pytest.raises(UnreadableError):
        read_photo(data.replace(b"Title\0a", b"Title\0b")[:-40])


@pytest.mark.parametrize(
    ("marker", "text"), [(0xE0, b"JFIF\0"), (0xEE, b"Adobe"), (0xE2, b"ICC_PROFILE\0"), (0xE2, b"ICC_PROFILE\0\1")]
)
def test_a_jpeg_is_worth_more_than_a_segment_beside_its_picture(pixels, marker, text):
    plain = saved(pixels, "JPEG", comment=b"kept")
    photo = read_photo(plain[:2] + jpeg.segment(marker, text) + plain[2:])
    assert np.array_equal(photo.pixels, read_photo(plain).pixels)
    assert photo.lost == (f"its segment APP{marker - 0xE0}, which cannot be read",)
    assert photo.comments == (b"kept",)
    assert read_photo(encode_photo(photo, "JPEG")).lost == ()
