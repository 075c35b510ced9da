"""A colour-managed reader sees the same colours in what is written, in whichever way the source said what they are."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from faceedit.errors import UnreadableError
from faceedit.media import colour, deep, png
from faceedit.media.image import READ_FORMATS, encode_photo, read_photo
from tests.conftest import draw_face

P3 = colour.built_profile(colour.PRIMARIES[12], colour.SRGB_CURVE)
WIDE = colour.built_profile(colour.PRIMARIES[9], (1.8,))
GREY = colour.built_profile(colour.SRGB_PRIMARIES, (1.0,), grey=True)
LOSS = {"JPEG": 2, "WEBP": 4, "AVIF": 3, "HEIF": 2}  # mean difference of 255 that a format's compression makes


@pytest.fixture
def pixels():
    return draw_face(64)


def saved(image, name="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **options)
    return buffer.getvalue()


def png_with(pixels, *chunks) -> bytes:
    """A PNG with these chunks behind its header."""
    head, *rest = png.chunks(saved(Image.fromarray(pixels)))
    return png.assembled([head, *chunks, *rest])


def managed(data: bytes) -> np.ndarray:
    """What a colour-managed reader shows, in sRGB (H, W, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        icc = image.info.get("icc_profile")
        if icc:
            profiles = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
        return np.asarray(image.convert("RGB")).astype(int)


def linear(values, curve) -> np.ndarray:
    x = np.asarray(values, float) / 255
    if len(curve) == 1:
        return x ** curve[0]
    g, a, b, c, d = curve
    return np.where(x >= d, (a * x + b) ** g, c * x)


def expected(pixels, primaries, curve) -> np.ndarray:
    """The same by the formulas of the standards: linear light, to sRGB's primaries, clipped, with sRGB's curve."""

    def to_xyz(xy):
        xy = np.array(xy).reshape(4, 2)
        columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
        return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])

    matrix = np.linalg.inv(to_xyz(colour.PRIMARIES[1])) @ to_xyz(primaries)
    light = np.clip(linear(pixels, curve) @ matrix.T, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


@pytest.mark.parametrize("name", READ_FORMATS)
@pytest.mark.parametrize("icc", [P3, WIDE, GREY], ids=["P3", "wide", "grey"])
def test_a_profile_is_kept_or_converted_by(pixels, icc, name):
    source = saved(Image.fromarray(pixels).convert("L" if icc == GREY else "RGB"), icc_profile=icc)
    written = encode_photo(read_photo(source), name)
    assert np.abs(managed(written) - managed(source)).mean() <= LOSS.get(name, 0)
    assert np.abs(managed(source) - pixels).mean() > 1  # the profile matters


@pytest.mark.parametrize(
    ("primaries", "transfer"), [(12, 13), (9, 1), (9, 14), (1, 8), (12, 4), (5, 5), (22, 13), (6, 6)]
)
def test_a_pngs_code_points_become_a_profile(pixels, primaries, transfer):
    photo = read_photo(png_with(pixels, (b"cICP", bytes([primaries, transfer, 0, 1]))))
    assert np.array_equal(photo.pixels, pixels)
    wanted = expected(pixels, colour.PRIMARIES[primaries], colour.CURVES[transfer])
    for name in ("PNG", "TIFF", "BMP"):
        assert np.abs(managed(encode_photo(photo, name)) - wanted).mean() < 1


@pytest.mark.parametrize(("points", "icc"), [((1, 13), None), ((2, 2), None), ((200, 200), None)])
def test_code_points_of_srgb_or_none_need_no_profile(pixels, points, icc):
    assert read_photo(png_with(pixels, (b"cICP", bytes([*points, 0, 1])))).icc is icc


def test_code_points_go_before_a_pngs_profile_and_behind_an_avifs(pixels):
    image = Image.fromarray(pixels)
    head, *rest = png.chunks(saved(image, icc_profile=WIDE))
    photo = read_photo(png.assembled([head, (b"cICP", bytes([12, 13, 0, 1])), *rest]))
    assert photo.icc == P3
    assert read_photo(nclx(saved(image, "AVIF", icc_profile=WIDE), 12, 16)).icc == WIDE


def nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF with other code points."""
    place = data.find(b"nclx")
    return data if place < 0 else data[: place + 4] + struct.pack(">HH", primaries, transfer) + data[place + 8 :]


def test_the_code_points_of_an_avif_become_a_profile(pixels):
    data = nclx(saved(Image.fromarray(pixels), "AVIF", quality=100, subsampling="4:4:4"), 12, 13)
    photo = read_photo(data)
    assert photo.icc == P3
    wanted = expected(photo.pixels, colour.PRIMARIES[12], colour.SRGB_CURVE)
    for name in ("AVIF", "JPEG", "PNG"):
        assert np.abs(managed(encode_photo(photo, name)) - wanted).mean() < LOSS.get(name, 1)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_its_name(pixels, transfer, name):
    for data in (
        png_with(pixels, (b"cICP", bytes([9, transfer, 0, 1]))),
        nclx(saved(Image.fromarray(pixels), "AVIF"), 9, transfer),
    ):
        with pytest.raises(UnreadableError, match=rf"HDR photo \(transfer curve {name}\)"):
            read_photo(data)


@pytest.mark.parametrize("gamma", [100_000, 55_556, 250_000])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_gamma_and_chromaticities_become_a_profile(pixels, gamma, mode):
    primaries = colour.PRIMARIES[9] if mode == "RGB" else colour.SRGB_PRIMARIES
    xy = np.rint(np.array([*primaries[6:], *primaries[:6]]) * 100_000).astype(int)
    chunks = ((b"gAMA", struct.pack(">I", gamma)), (b"cHRM", struct.pack(">8I", *xy.tolist())))
    source = np.asarray(Image.fromarray(pixels).convert(mode))
    photo = read_photo(png_with(source, *chunks))
    wanted = expected(np.asarray(Image.fromarray(source).convert("RGB")), primaries, (100_000 / gamma,))
    for name in ("PNG", "BMP"):
        assert np.abs(managed(encode_photo(photo, name)) - wanted).mean() < 1


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"gAMA", struct.pack(">I", 45_455))],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))],
        [(b"gAMA", bytes(4))],
        [(b"cHRM", bytes(32))],
        [(b"cHRM", struct.pack(">8I", *[30_000] * 8))],
    ],
)
def test_what_says_srgb_or_nothing_needs_no_profile(pixels, chunks):
    assert read_photo(png_with(pixels, *chunks)).icc is None


@pytest.mark.parametrize("icc", [P3, GREY, b"junk", P3[:200], None], ids=["RGB", "grey", "junk", "cut", "none"])
@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_a_cmyk_photo_is_worth_more_than_its_profile(pixels, icc, name, caplog):
    photo = read_photo(saved(Image.fromarray(pixels).convert("CMYK"), name, icc_profile=icc))
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 8
    assert (photo.icc, photo.jpeg_options) == (None, None)
    assert len([text for text in caplog.messages if "colour profile cannot be used" in text]) == (icc is not None)


@pytest.mark.parametrize("icc", [GREY, b"junk", P3[:200], b"\0" * 128])
@pytest.mark.parametrize("name", READ_FORMATS)
def test_a_profile_that_cannot_be_used_costs_no_photo(pixels, icc, name):
    photo = read_photo(saved(Image.fromarray(pixels), "PNG", icc_profile=icc))
    assert np.abs(read_photo(encode_photo(photo, name)).pixels.astype(int) - photo.pixels).mean() <= LOSS.get(name, 0)


def test_what_is_drawn_from_a_grey_photo_has_its_colours(pixels):
    source = saved(Image.fromarray(pixels).convert("L"), icc_profile=GREY)
    drawable = read_photo(source).drawable()
    assert (drawable.grey, drawable.icc) == (False, None)
    assert np.abs(drawable.pixels - managed(source)).mean() < 1


@pytest.mark.parametrize("name", READ_FORMATS)
def test_a_grey_photo_with_a_profile_for_colour_has_its_values_by_it(pixels, name, caplog):
    data = saved(Image.fromarray(pixels).convert("L"), icc_profile=WIDE)
    seen = managed(saved(Image.open(io.BytesIO(data)).convert("RGB"), icc_profile=WIDE))
    written = encode_photo(read_photo(data), name)
    shown = saved(Image.open(io.BytesIO(written)).convert("RGB"), icc_profile=read_photo(written).icc)
    assert np.abs(managed(shown) - seen).mean() < LOSS.get(name, 1)
    assert ("its colours converted" in caplog.text) == (name == "BMP")


def test_a_grey_profile_that_is_converted_by_is_named(pixels, caplog):
    photo = read_photo(saved(Image.fromarray(pixels).convert("L"), icc_profile=GREY))
    encode_photo(photo, "TIFF")
    assert not caplog.messages
    for name in ("WEBP", "AVIF", "HEIF", "BMP"):
        caplog.clear()
        encode_photo(photo, name)
        assert caplog.text.count("its colours converted") == 1


def test_the_profile_in_a_bmp_is_its_colours(pixels):
    rows = np.ascontiguousarray(pixels[::-1, :, ::-1]).tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 64, 64, 1, 24, 0, len(rows), 2835, 2835, 0, 0) + bytes(16) + b"DEBM"
    header += bytes(48) + struct.pack("<4I", 4, 124 + len(rows), len(WIDE), 0)
    data = b"BM" + struct.pack("<IHHI", 14 + 124 + len(rows) + len(WIDE), 0, 0, 14 + 124) + header + rows + WIDE
    assert read_photo(data).icc == WIDE
    assert (
        np.abs(
            managed(encode_photo(read_photo(data), "BMP")) - managed(saved(Image.fromarray(pixels), icc_profile=WIDE))
        ).max()
        <= 1
    )
    assert read_photo(data[:130] + bytes(8) + data[138:]).icc is None


def test_a_lab_photo_has_its_colours(pixels):
    lab = ImageCms.profileToProfile(
        Image.fromarray(pixels), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert np.abs(read_photo(saved(lab, "TIFF")).pixels.astype(int) - pixels).mean() < 2


def gradient(channels: int) -> np.ndarray:
    ramp = np.add.outer(np.arange(40) * 900, np.arange(30) * 307).astype(np.uint16)
    return np.dstack([ramp, ramp[::-1], ramp[:, ::-1], 65535 - ramp][:channels])


def deep_png(samples, *chunks) -> bytes:
    head, body = deep.png_chunks(samples)
    return png.assembled([head, *chunks, body, (b"IEND", b"")])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("orientation", [1, 2, 5, 6, 7, 8])
def test_sixteen_bits_are_kept_where_the_format_has_them(channels, orientation, caplog):
    exif = Image.Exif()
    exif[274] = orientation
    samples = gradient(channels)
    photo = read_photo(deep_png(samples, (b"eXIf", exif.tobytes()[6:]), (b"iCCP", b"x\0\0" + zlib.compress(P3))))
    upright = np.dstack([np.asarray(_turned(samples[..., i], orientation)) for i in range(channels)])
    assert np.array_equal(photo.deep, upright)
    assert (photo.grey, photo.alpha is not None) == (channels < 3, channels in (2, 4))
    for name in ("PNG", "TIFF"):
        again = read_photo(encode_photo(photo, name))
        assert np.array_equal(again.deep, upright)
        assert np.array_equal(again.pixels, photo.pixels)
        assert again.icc == P3
    caplog.clear()
    encode_photo(photo, "JPEG")
    assert "16 bits a sample" in caplog.text


def _turned(channel: np.ndarray, orientation: int) -> Image.Image:
    turns = {2: 0, 5: 5, 6: 4, 7: 6, 8: 2}
    image = Image.fromarray(channel)
    return image if orientation == 1 else image.transpose(Image.Transpose(turns[orientation]))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_edit_moves_samples_of_sixteen_bits_and_leaves_the_others(channels):
    photo = read_photo(deep_png(gradient(channels)))
    edited = photo.pixels.copy()
    edited[5:9, 5:9] += 3
    again = read_photo(encode_photo(photo.with_pixels(edited), "PNG"))
    assert np.array_equal(again.pixels, edited)
    changed = (again.deep != photo.deep).any(-1)
    assert changed[5:9, 5:9].all()
    assert changed.sum() == 16


@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_value_of_sixteen_bits_is_kept(channels):
    samples = gradient(channels)
    photo = read_photo(deep_png(samples, (b"tRNS", struct.pack(f">{channels}H", *samples[3, 4].tolist()))))
    for again in (photo, read_photo(encode_photo(photo, "PNG"))):
        assert again.alpha[3, 4] == 0
        assert (again.alpha == 0).sum() == (samples == samples[3, 4]).all(-1).sum()


@pytest.mark.parametrize("name", ["JPEG", "BMP"])
def test_what_transparency_hides_does_not_show(pixels, name, caplog):
    alpha = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    photo = read_photo(saved(Image.fromarray(np.dstack([pixels, alpha]))))
    shown = read_photo(encode_photo(photo, name))
    white = Image.new("RGB", (64, 64), "white")
    white.paste(Image.fromarray(pixels), mask=Image.fromarray(alpha))
    assert shown.alpha is None
    assert np.abs(shown.pixels.astype(int) - np.asarray(white)).mean() < 2
    assert np.abs(photo.drawable().pixels.astype(int) - np.asarray(white)).mean() < 1
    (told,) = caplog.messages
    assert "its transparency" in told
    caplog.clear()
    encode_photo(read_photo(saved(Image.fromarray(np.dstack([pixels, np.full_like(alpha, 255)])))), name)
    assert caplog.messages == []


@pytest.mark.parametrize(("name", "keeps"), [("JPEG", True), ("TIFF", True), ("PNG", True), ("BMP", False)])
def test_adobe_rgb_that_exif_alone_says_stays_or_is_converted_by(pixels, name, keeps):
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "a camera"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 65535
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03", 2: b"0100"}
    photo = read_photo(saved(Image.fromarray(pixels), exif=tags))
    shown = expected(pixels, colour.ADOBE_RGB, colour.ADOBE_RGB_CURVE)
    data = encode_photo(photo, name)
    assert read_photo(data).icc is None
    assert np.abs(managed(data) - (pixels if keeps else shown)).mean() < LOSS.get(name, 1)
    data = encode_photo(photo.without_metadata(), name)  # where EXIF no longer says it
    assert np.abs(managed(data) - shown).mean() < LOSS.get(name, 1)
    assert np.abs(managed(encode_photo(photo.drawable(), "WEBP")) - shown).mean() < LOSS["WEBP"]
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 1
    assert read_photo(saved(Image.fromarray(pixels), exif=tags)).with_profile().icc is None


def adobe(**others) -> Image.Exif:
    """EXIF that says Adobe RGB."""
    tags = Image.Exif()
    tags[ExifTags.Base.Make] = "a camera"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 65535
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03", 2: b"0100"}
    return tags


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_srgb_that_a_file_says_goes_before_its_exif(pixels, kind):
    data = saved(Image.fromarray(pixels), kind, exif=adobe(), **({"quality": 100} if kind == "AVIF" else {}))
    if kind == "PNG":
        head, *rest = png.chunks(data)
        data = png.assembled([head, (b"sRGB", b"\0"), *rest])
    photo = read_photo(data)
    for name in ("BMP", "PNG"):
        assert np.abs(managed(encode_photo(photo.without_metadata(), name)) - pixels).mean() < LOSS.get(kind, 1)


@pytest.mark.parametrize("name", ["AVIF", "HEIF", "WEBP", "PNG"])
def test_what_exif_alone_says_is_a_profile_where_programs_do_not_look_there(pixels, name):
    photo = read_photo(saved(Image.fromarray(pixels), "JPEG", exif=adobe(), quality=100))
    shown = expected(photo.pixels, colour.ADOBE_RGB, colour.ADOBE_RGB_CURVE)
    assert np.abs(managed(encode_photo(photo, name)) - shown).mean() < LOSS.get(name, 1)


@pytest.mark.parametrize(("bits", "samples", "hidden"), [(2, 0b00011011, 3), (4, 0x2F, 15)])
def test_the_transparent_grey_of_few_bits_is_found(bits, samples, hidden):
    count = 8 // bits
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", count, 2, bits, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", hidden)),
        (b"IDAT", zlib.compress(bytes([0, samples]) * 2)),
        (b"IEND", b""),
    ]
    assert read_photo(png.assembled(chunks)).alpha[0].tolist() == [255] * (count - 1) + [0]


def test_code_points_that_say_nothing_leave_the_profile(pixels):
    data = saved(Image.fromarray(pixels), icc_profile=P3)
    head, *rest = png.chunks(data)
    assert read_photo(png.assembled([head, (b"cICP", bytes([2, 2, 0, 1])), *rest])).icc == P3


def test_a_profile_that_was_not_used_is_named_so(pixels, caplog):
    photo = read_photo(saved(Image.fromarray(pixels), "JPEG", icc_profile=GREY, quality=100))
    written = encode_photo(photo, "BMP")
    assert (managed(written) == photo.pixels).all()
    assert "its colour profile, which cannot be used" in caplog.text
