"""TIFFs as other programs write them: each shows what it means, with all its bits where 16 can be kept."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UnreadableError
from faceedit.media import deep, exif
from faceedit.media.image import encode_photo, read_photo
from tests.conftest import draw_face

EXIF = {315: (2, 5, b"Anna\0"), exif.ORIENTATION: (3, 1, struct.pack("<H", 6))}
ICC = b"a profile"


@pytest.fixture
def samples() -> np.ndarray:
    """(48, 32, 4) uint16: a face with low bits of its own, and how opaque it is."""
    face = draw_face(48)[:, :32].astype(np.uint16) * 257
    face = face + np.arange(face.size, dtype=np.uint16).reshape(face.shape) % 100
    opacity = np.tile(np.linspace(2000, 65535, 32).astype(np.uint16), (48, 1))
    return np.dstack([np.minimum(face, 65000), opacity])


def written(samples, photometric, extra=None, planar=False, order="<", difference=False, tags=()) -> bytes:
    """A TIFF with samples (H, W, C), in strips of 7 lines, deflated."""
    height, width, count = samples.shape
    if difference:
        axes = np.concatenate([samples[:, :1], np.diff(samples, axis=1)], axis=1)
        samples = axes.astype(samples.dtype)
    kind, bits = f"u{samples.itemsize}", 8 * samples.itemsize
    parts = [samples[..., c : c + 1] for c in range(count)] if planar else [samples]
    strips = [
        zlib.compress(part[y : y + 7].astype(order + kind).tobytes()) for part in parts for y in range(0, height, 7)
    ]

    def numbers(kind, *values):
        return kind, len(values), struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)

    made = {
        256: numbers(3, width),
        257: numbers(3, height),
        258: numbers(3, *[bits] * count),
        259: numbers(3, 8),
        262: numbers(3, photometric),
        273: numbers(4, *np.cumsum([8, *map(len, strips)])[:-1].tolist()),
        277: numbers(3, count),
        278: numbers(3, 7),
        279: numbers(4, *map(len, strips)),
        284: numbers(3, 2 if planar else 1),
        317: numbers(3, 2 if difference else 1),
        **dict(tags),
    }
    if extra is not None:
        made[338] = numbers(3, extra)
    body = b"".join(strips)
    body += bytes(len(body) % 2)
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8 + len(body)) + body + exif.assembled(order, made, 8 + len(body))


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("side", [1, 2, 4])  # pixels, in width, that share their colours
def test_colours_apart_from_brightness_are_read_though_not_compressed(side, turned):
    face = draw_face(48)[:, :32]
    planes = np.asarray(Image.fromarray(face).convert("YCbCr"))
    units = planes[..., 0].reshape(48, 32 // side, side)
    packed = np.concatenate([units, planes[:, ::side, 1:]], axis=2)
    short = {256: 32, 257: 48, 259: 1, 262: 6, 274: turned, 277: 3, 278: 48}
    tags = {
        **{number: (3, 1, struct.pack("<H", value)) for number, value in short.items()},
        258: (3, 3, struct.pack("<3H", 8, 8, 8)),
        273: (4, 1, struct.pack("<I", 8)),
        279: (4, 1, struct.pack("<I", packed.size)),
        530: (3, 2, struct.pack("<2H", side, 1)),
    }
    data = b"II*\0" + struct.pack("<I", 8 + packed.size) + packed.tobytes()
    photo = read_photo(data + exif.assembled("<", tags, len(data)))
    upright = photo.pixels if turned == 1 else np.rot90(photo.pixels)
    assert np.abs(upright[:, ::side].astype(int) - face[:, ::side]).mean() < 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("planar", [False, True])
def test_grey_with_transparency_keeps_its_sixteen_bits(samples, order, difference, planar):
    grey = samples[..., 2:]
    photo = read_photo(written(grey, 1, 2, planar, order, difference))
    assert np.array_equal(photo.deep, grey)
    assert photo.grey
    for name in ("TIFF", "PNG"):
        again = read_photo(encode_photo(photo, name))
        assert np.array_equal(again.deep, grey)
        assert again.grey
    edited = read_photo(encode_photo(photo.with_pixels(photo.pixels - 1), "TIFF"))
    assert np.array_equal(edited.deep[..., 1], grey[..., 1])
    assert (edited.deep[..., 0] != grey[..., 0]).mean() > 0.9


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("count", [3, 4])
def test_colours_that_lie_apart_are_read(samples, order, difference, count):
    photo = read_photo(written(samples[..., :count], 2, 2 if count == 4 else None, True, order, difference))
    assert np.array_equal(photo.deep, samples[..., :count])


def test_white_as_zero_is_no_negative(samples):
    assert np.array_equal(read_photo(written(65535 - samples[..., :1], 0)).deep, samples[..., :1])
    turned = written(np.dstack([65535 - samples[..., 0], samples[..., 3]]), 0, 2)
    assert np.array_equal(read_photo(turned).deep, samples[..., [0, 3]])


def big(data: bytes) -> bytes:
    """The same TIFF as a BigTIFF."""
    tags = exif.all_tags(data)
    moved = 16 + 8 + 20 * len(tags) + 8
    table, behind = struct.pack("<Q", len(tags)), b""
    for number, (kind, count, value) in sorted(tags.items()):
        if number == 273:
            value = struct.pack(f"<{count}I", *[place + moved for place in struct.unpack(f"<{count}I", value)])
        place = struct.pack("<Q", moved + len(data) + len(behind))
        table += struct.pack("<HHQ", number, kind, count) + (value.ljust(8, b"\0") if len(value) <= 8 else place)
        behind += value if len(value) > 8 else b""
    return b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + table + bytes(8) + data + behind


def test_what_pillow_would_read_wrong_of_a_bigtiff_is_refused_or_right(samples):
    assert np.array_equal(read_photo(big(written(samples[..., :3], 2))).deep, samples[..., :3])
    with pytest.raises(UnreadableError, match="TIFF of a kind"):
        read_photo(big(written(samples[..., :3], 2, planar=True)))
    white = read_photo(big(written(65535 - samples[..., :1], 0)))
    assert np.abs(white.pixels[..., :1] - samples[..., :1] / 257).max() <= 1


def test_what_a_further_channel_means_is_seen(samples):
    multiplied = samples.copy()
    multiplied[..., :3] = np.rint(samples[..., :3] * (samples[..., 3:] / 65535))
    photo = read_photo(written(multiplied, 2, 1))
    assert np.abs(photo.deep.astype(int) - samples).max() <= 17  # a step of a colour multiplied by the least opacity
    for planar in (False, True):
        photo = read_photo(written(samples, 2, 0, planar))
        assert photo.alpha is None
        assert np.array_equal(photo.deep, samples[..., :3])


def test_what_such_a_file_says_beside_is_kept(samples):
    tags = {**EXIF, exif.ICC: (7, len(ICC), ICC)}
    photo = read_photo(written(samples[..., :3], 2, None, True, tags=tags))
    assert np.array_equal(photo.deep, samples[..., :3].swapaxes(0, 1)[:, ::-1])
    assert photo.icc == ICC
    assert b"Anna" in photo.exif


@pytest.mark.parametrize("broken", [273, 279, 256, 258, 262])
def test_such_a_file_with_a_broken_tag_is_refused(samples, broken):
    for value in ((2, 1, b"\0"), (4, 1, b"\xff\xff\xff\xff"), (4, 3, b"\xff" * 12)):
        data = written(samples[..., 2:], 1, 2, tags={broken: value})
        with pytest.raises(UnreadableError):
            read_photo(data)


@pytest.mark.parametrize(("bits", "signed"), [(12, False), (32, False), (32, True), (16, True)])
def test_grey_samples_are_scaled_by_their_bits(bits, signed):
    grey = draw_face(32)[..., :1]
    values = np.rint(grey / 255 * (2.0 ** (bits - signed) - 1)).astype(np.int64)
    if bits == 12:
        pairs = values.reshape(32, 16, 2)
        first, second = pairs[..., 0], pairs[..., 1]
        text = np.dstack([first >> 4, (first & 15) << 4 | second >> 8, second & 255]).astype(np.uint8).tobytes()
    else:
        text = values.astype(f"<u{bits // 8}").tobytes()
    data = deep.tiff(grey)
    place = len(data)
    tags = {
        258: (3, 1, struct.pack("<H", bits)),
        259: (3, 1, struct.pack("<H", 1)),
        273: (4, 1, struct.pack("<I", place)),
        279: (4, 1, struct.pack("<I", len(text))),
        317: (3, 1, struct.pack("<H", 1)),
        339: (3, 1, struct.pack("<H", 2 if signed else 1)),
    }
    photo = read_photo(exif.with_tags(data + text, None, tags))
    assert np.abs(photo.pixels[..., :1].astype(int) - grey).max() <= 1


def test_a_kind_of_tiff_that_is_not_read_is_named(samples):
    data = exif.with_tags(deep.tiff(draw_face(16)), None, {339: (3, 3, struct.pack("<3H", 3, 3, 3))})
    with pytest.raises(UnreadableError, match="TIFF of a kind"):
        read_photo(data)


@pytest.mark.parametrize("change", [lambda grey: grey, lambda grey: 255 * grey, lambda grey: grey + (grey > 0.9)])
def test_floating_point_samples_are_as_bright_as_they_are(change):
    grey = np.asarray(Image.fromarray(draw_face(32)).convert("L"))
    buffer = io.BytesIO()
    Image.fromarray(change(grey.astype(np.float32) / 255)).save(buffer, "TIFF")
    difference = np.abs(read_photo(buffer.getvalue()).pixels[..., 0].astype(int) - grey)
    assert difference[grey < 0.9 * 255].max() <= 1
    if grey.max() / 255 >= change(grey / 255).max():
        white = exif.with_tags(buffer.getvalue(), None, {262: (3, 1, b"\0\0")})
        assert np.abs(255 - read_photo(white).pixels[..., 0].astype(int) - grey).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(
    ("photometric", "count", "extra"), [(1, 2, 2), (1, 2, 0), (0, 2, 2), (2, 3, None), (2, 4, 2), (2, 4, None)]
)
def test_eight_bits_mean_what_sixteen_do(samples, photometric, count, extra, planar, order):
    given = samples[..., 4 - count :] if count < 3 else samples[..., :count]
    wide, narrow = (
        read_photo(written(some, photometric, extra, planar, order)) for some in (given, (given // 257).astype("u1"))
    )
    assert np.abs(wide.pixels.astype(int) - narrow.pixels).max() <= 1
    assert (wide.alpha is None, wide.grey) == (narrow.alpha is None, narrow.grey)
    if narrow.alpha is not None:
        assert np.abs(wide.alpha.astype(int) - narrow.alpha).max() <= 1


@pytest.mark.parametrize("planar", [False, True])
def test_eight_bits_multiplied_by_opacity_are_divided_by_it(planar):
    given = np.tile(np.array([60, 128], np.uint8), (16, 8, 1))
    photo = read_photo(written(given, 1, 1, planar))
    assert (photo.pixels == 120).all()
    assert (photo.alpha == 128).all()


def test_signed_bytes_are_twice_as_bright_as_unsigned_ones():
    given = np.tile(np.arange(0, 128, 4, dtype=np.uint8), (16, 1))[..., None]
    photo = read_photo(written(given, 1, tags={339: (3, 1, struct.pack("<H", 2))}))
    assert np.abs(photo.pixels[..., 0].astype(int) - given[..., 0] * (255 / 127)).max() <= 1


def test_a_palette_of_bytes_where_there_should_be_words_is_no_black_picture():
    given = np.tile(np.arange(32, dtype=np.uint8), (16, 1))[..., None]
    palette = struct.pack("<768H", *([value * 7 % 256 for value in range(256)] * 3))
    photo = read_photo(written(given, 3, tags={320: (3, 768, palette)}))
    assert (photo.pixels == given.astype(int) * 7 % 256).all()
