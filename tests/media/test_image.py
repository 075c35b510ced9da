import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from faceedit.errors import UnreadableError, UnwritableError, UsageError
from faceedit.media.image import Photo, read_photo, write_photo
from tests.conftest import draw_face

FORMATS = ("jpg", "png", "webp", "tiff", "bmp", "avif")


@pytest.fixture
def pixels():
    return draw_face(64)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_photo_survives_reading_and_writing(tmp_path, pixels, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path)
    photo = read_photo(path)
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 6
    write_photo(tmp_path / f"b.{suffix}", photo)
    with Image.open(tmp_path / f"b.{suffix}") as again:
        assert again.format.lower() == {"jpg": "jpeg"}.get(suffix, suffix)
    difference = np.abs(read_photo(tmp_path / f"b.{suffix}").pixels.astype(int) - photo.pixels)
    assert difference.mean() < (1.5 if suffix in ("jpg", "webp", "avif") else 1e-9)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_profile_and_exif_are_kept_and_the_orientation_is_applied(tmp_path, pixels, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels[:, :40]).save(tmp_path / f"a.{suffix}", quality=95, exif=exif.tobytes(), icc_profile=icc)
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert photo.pixels.shape == (40, 64, 3)
    assert np.abs(photo.pixels.astype(int) - np.rot90(pixels[:, :40], -1)).mean() < 4
    write_photo(tmp_path / f"b.{suffix}", photo)
    with Image.open(tmp_path / f"b.{suffix}") as image:
        assert image.size == (64, 40)
        assert image.info["icc_profile"] == icc
        kept = image.getexif()
        assert kept.get(0x0112, 1) == 1
        assert kept[0x010F] == "Maker"
        assert kept.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif"])
def test_xmp_is_kept_upright(tmp_path, pixels, suffix):
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6" a="b"/></x:xmpmeta>'
    write_photo(tmp_path / f"a.{suffix}", Photo(pixels, xmp=packet))
    photo = read_photo(tmp_path / f"a.{suffix}")
    assert photo.xmp == packet.replace(b' tiff:Orientation="6"', b"")
    write_photo(tmp_path / f"b.{suffix}", photo)
    assert read_photo(tmp_path / f"b.{suffix}").xmp == photo.xmp
    assert read_photo(_saved(tmp_path / f"c.{suffix}", pixels)).without_metadata().xmp is None


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff", "avif"])
def test_transparency_is_kept(tmp_path, pixels, suffix):
    alpha = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / f"a.{suffix}", lossless=True)
    photo = read_photo(tmp_path / f"a.{suffix}")
    write_photo(tmp_path / f"b.{suffix}", photo)
    assert np.abs(read_photo(tmp_path / f"b.{suffix}").alpha.astype(int) - alpha).mean() < 2


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "I;16", "F"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, pixels, mode):
    path = tmp_path / "a.tiff"
    if mode == "I;16":
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    elif mode == "F":
        Image.fromarray(np.asarray(Image.fromarray(pixels).convert("L"), np.float32) / 255).save(path)
    else:
        path = path.with_suffix(".png") if mode in ("P", "LA") else path
        Image.fromarray(pixels).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    photo = read_photo(path)
    assert photo.pixels.shape == (64, 64, 3)
    assert photo.pixels.dtype == np.uint8
    wanted = Image.fromarray(pixels).convert("L")
    got = Image.fromarray(photo.pixels).convert("L")
    if mode != "1":
        assert np.abs(np.asarray(wanted, int) - np.asarray(got, int)).mean() < 3


def test_a_palette_with_transparency_keeps_it(tmp_path, pixels):
    image = Image.fromarray(pixels).convert("P")
    image.info["transparency"] = image.getpixel((0, 0))
    image.save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").alpha[0, 0] == 0


def test_a_tiffs_profile_is_carried_once(tmp_path, pixels):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.tiff", icc_profile=icc)
    photo = read_photo(tmp_path / "a.tiff")
    assert photo.icc == icc
    assert photo.exif is None or icc not in photo.exif


def test_a_tag_of_the_wrong_type_costs_the_exif_and_not_the_photo(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    data = bytearray(exif.tobytes())
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=bytes(data))
    text = (tmp_path / "a.jpg").read_bytes().replace(b"\x01\x0f\x00\x02", b"\x01\x1a\x00\x02")  # XResolution as text
    (tmp_path / "b.jpg").write_bytes(text)
    assert read_photo(tmp_path / "b.jpg").pixels.shape == pixels.shape


def test_a_grey_photo_is_written_grey(tmp_path, pixels):
    Image.fromarray(pixels).convert("L").save(tmp_path / "a.jpg")
    photo = read_photo(tmp_path / "a.jpg")
    write_photo(tmp_path / "b.jpg", photo.with_pixels(photo.pixels + np.array([0, 3, 0], np.uint8)))
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.mode == "L"


def test_a_jpeg_is_written_with_its_own_tables(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=61, subsampling=2)
    write_photo(tmp_path / "b.jpg", read_photo(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "a.jpg") as a, Image.open(tmp_path / "b.jpg") as b:
        assert a.quantization == b.quantization


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (13_000, 12_000)).save(path)
    with pytest.raises(UnreadableError, match="156 megapixels"):
        read_photo(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"GIF89a" + bytes(20)])
def test_what_is_no_photo_is_refused(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableError, match=r"a\.jpg"):
        read_photo(tmp_path / "a.jpg")


def test_a_truncated_jpeg_is_refused(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    with pytest.raises(UnreadableError, match="truncated"):
        read_photo(buffer.getvalue()[: len(buffer.getvalue()) * 2 // 3])


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UnreadableError, match="there is no file"):
        read_photo(tmp_path / "none.jpg")
    with pytest.raises(UnreadableError, match="cannot read"):
        read_photo(tmp_path)


def test_an_output_is_written_whole_or_not_at_all(tmp_path, pixels):
    photo = read_photo(_saved(tmp_path / "a.png", pixels))
    with pytest.raises(UsageError, match="cannot tell the format"):
        write_photo(tmp_path / "b.xyz", photo)
    with pytest.raises(UnwritableError, match="cannot write"):
        write_photo(tmp_path / "missing" / "b.png", photo)
    with pytest.raises(UnwritableError, match="WEBP"):
        write_photo(tmp_path / "b.webp", photo.with_pixels(np.zeros((1, 20_000, 3), np.uint8)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def _saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("icc", [b"junk", b"", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_a_cmyk_photo_is_worth_more_than_its_profile(pixels, icc, caplog):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(buffer, "JPEG", icc_profile=icc)
    photo = read_photo(buffer.getvalue())
    assert np.abs(photo.pixels.astype(int) - pixels).mean() < 8
    assert photo.icc is None
    assert ("cannot be used" in caplog.text) == bool(icc)


def test_far_too_many_pixels_are_refused_in_the_same_words():
    data = io.BytesIO()
    Image.new("1", (8, 8)).save(data, "BMP")
    header = bytearray(data.getvalue())
    header[18:26] = (30_000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadableError, match="more than the 150 megapixels that are read"):
        read_photo(bytes(header))
