"""Tags of kinds that no program should write, but some do: the photo is edited, and what is written can be read."""

import io
import logging

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from faceedit.errors import UnwritableError
from faceedit.media.image import READ_FORMATS, Photo, encode_photo, read_photo
from tests.conftest import draw_face

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE = 1, 2, 3, 4, 5, 7, 12
VALUES = {
    BYTE: b"bytes",
    ASCII: "text",
    SHORT: (7, 8),
    LONG: (99_999,),
    RATIONAL: (TiffImagePlugin.IFDRational(1, 3),),
    UNDEFINED: b"II*\0\xff",
    DOUBLE: (0.5,),
}
# Orientation, maker, resolution, unit, XMP, IPTC, Photoshop, ICC, the folders of EXIF, date, and one that is nobody's.
TAGS = (274, 271, 282, 296, 700, 33723, 34377, 34675, 34665, 34853, 40965, 36867, 65000)


def tiff(tags: TiffImagePlugin.ImageFileDirectory_v2, big: bool = False) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw_face(16)).save(buffer, "TIFF", tiffinfo=tags, big_tiff=big)
    return buffer.getvalue()


def tagged(tag: int, kind: int, value: object) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[tag] = value
    tags.tagtype[tag] = kind
    return tags


def check_writable(photo: Photo) -> None:
    for name in READ_FORMATS:
        data = encode_photo(photo, name)
        again = read_photo(data)
        assert again.pixels.shape == photo.pixels.shape
        with Image.open(io.BytesIO(data)) as file:
            exif = file.getexif()
            assert dict(exif) is not None
            for folder in (34665, 34853):
                exif.get_ifd(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_of_any_type_costs_neither_the_photo_nor_the_edit(tag, kind, big):
    try:
        data = tiff(tagged(tag, kind, VALUES[kind]), big)
    except Exception as error:
        pytest.skip(f"Pillow does not write it: {error}")
    photo = read_photo(data)
    assert (tag, kind) == (274, SHORT) or np.array_equal(photo.pixels, draw_face(16))
    check_writable(photo)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_exif_of_a_bigtiff_can_be_read_in_other_files(name):
    tags = tagged(271, ASCII, "Maker")
    tags[34665] = {36867: "2020:01:02 03:04:05"}
    photo = read_photo(tiff(tags, big=True))
    with Image.open(io.BytesIO(encode_photo(photo, name))) as file:
        assert file.getexif()[271] == "Maker"
        assert file.getexif().get_ifd(34665)[36867] == "2020:01:02 03:04:05"


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0junk", b"Exif\0\0II*\0", b"Exif\0\0II+\0\x08\0\0\0" + bytes(40), b"x" * 70_000]
)
@pytest.mark.parametrize("name", READ_FORMATS)
def test_exif_that_cannot_be_read_is_left_out_and_named(name, exif, caplog):
    caplog.set_level(logging.WARNING, "faceedit")
    data = encode_photo(Photo(draw_face(16), exif=exif, xmp=b"<x/>"), name)
    photo = read_photo(data)
    check_writable(photo)
    assert photo.xmp == (None if name == "BMP" else b"<x/>")
    if len(exif) > 6 and name != "BMP":
        assert "EXIF" in caplog.text


@pytest.mark.parametrize(
    ("carried", "name"),
    [
        ({"icc": "text"}, "JPEG"),
        ({"icc": b"x" * 20_000_000}, "JPEG"),
        ({"jpeg_options": {"qtables": {2: [1] * 64, 3: [1] * 64}, "subsampling": 0}}, "JPEG"),
        ({"xmp": b"<x>" + b" " * 70_000 + b"</x>"}, "JPEG"),
    ],
)
def test_what_does_not_fit_into_a_format_is_left_out_and_named(carried, name, caplog):
    caplog.set_level(logging.WARNING, "faceedit")
    assert np.abs(read_photo(encode_photo(Photo(draw_face(16), **carried), name)).pixels - draw_face(16)).mean() < 255
    assert "is left out" in caplog.text


def test_a_size_that_a_format_does_not_have_is_refused():
    with pytest.raises(UnwritableError, match="WEBP"):
        encode_photo(Photo(np.zeros((1, 20_000, 3), np.uint8), exif=b"Exif\0\0junk"), "WEBP")
