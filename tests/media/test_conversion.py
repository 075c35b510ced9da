import io

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import UsageError
from faceedit.media.conversion import as_photo, to_pil
from faceedit.media.image import read_photo, write_photo
from tests.conftest import ASTRONAUT, draw_face


@pytest.fixture(scope="module")
def face():
    return draw_face(40)


def test_arrays_of_every_kind_become_rgb(face):
    grey, alpha = face[..., 0], face[..., 1]
    for given, pixels, seen, colourless in (
        (face, face, None, False),
        (grey, np.dstack([grey] * 3), None, True),
        (grey[..., None], np.dstack([grey] * 3), None, True),
        (np.dstack([grey, alpha]), np.dstack([grey] * 3), alpha, True),
        (np.dstack([face, alpha]), face, alpha, False),
        (face.astype(np.uint16) * 257, face, None, False),
    ):
        photo = as_photo(given)
        assert (photo.pixels == pixels).all()
        assert photo.grey == colourless
        assert photo.pixels.dtype == np.uint8
        assert (photo.alpha is None) == (seen is None)
        assert seen is None or (photo.alpha == seen).all()
    assert as_photo(photo) is photo


@pytest.mark.parametrize(("shape", "kind"), [((4, 4, 5), "uint8"), ((4,), "uint8"), ((4, 4), float), ((0, 4), "uint8")])
def test_other_arrays_are_refused(shape, kind):
    with pytest.raises(UsageError, match="an image must"):
        as_photo(np.zeros(shape, kind))


MODES = ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_pil_images_of_every_mode_are_taken(face, mode):
    start = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(mode, "RGB")
    if mode == "PA":
        image = Image.fromarray(face).convert("P").convert("PA")
    else:
        image = Image.fromarray(face).convert(start).convert(mode)
    photo = as_photo(image)
    grey = mode in ("1", "L", "LA", "La", "F")
    wanted = np.asarray((image.convert("LA") if mode == "La" else image).convert("L" if grey else "RGB"))
    if mode != "LAB":  # PIL itself does not convert it
        difference = photo.pixels.astype(int) - (wanted[..., None] if grey else wanted)
        assert np.abs(difference).max() <= 2
    assert (photo.alpha is None) == ("A" not in mode[1:].upper() or mode == "LAB")


def test_samples_of_16_bits_are_kept_beside_the_pixels(face, tmp_path):
    face = np.minimum(face, 254)
    wide = face.astype(np.uint16) * 257 + 1
    assert (as_photo(Image.fromarray(wide[..., 0])).pixels[..., 0] == face[..., 0]).all()
    for given in (wide[..., 0], wide, np.dstack([wide, wide[..., 0]])):
        photo = as_photo(given)
        write_photo(tmp_path / "a.png", photo)
        kept = read_photo(tmp_path / "a.png").deep
        assert (kept == (given[..., None] if given.ndim == 2 else given)).all()


def test_what_a_pil_image_carries_comes_along_and_goes_back(face):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6  # lies on its side
    buffer = io.BytesIO()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    Image.fromarray(face[:30]).save(buffer, "JPEG", exif=exif, xmp=xmp, icc_profile=b"profile", dpi=(300, 300))
    with Image.open(buffer) as image:
        photo = as_photo(image)
    assert photo.pixels.shape == (40, 30, 3)
    assert (photo.icc, photo.xmp) == (b"profile", xmp)
    assert photo.dpi == pytest.approx((300, 300), abs=0.1)
    given = to_pil(photo)
    assert given.size == (30, 40)
    assert given.info["icc_profile"] == b"profile"
    again = as_photo(given)
    assert (again.xmp, again.icc) == (photo.xmp, photo.icc)
    loaded = Image.Exif()
    loaded.load(again.exif)
    assert (loaded[0x010F], loaded.get(0x0112, 1)) == ("Maker", 1)


def test_a_path_is_read_as_by_the_command():
    assert as_photo(ASTRONAUT).format == as_photo(str(ASTRONAUT)).format == "JPEG"


def test_grey_and_transparent_photos_are_so_for_pil(face):
    assert to_pil(as_photo(face[..., 0])).mode == "L"
    assert to_pil(as_photo(np.dstack([face[..., 0]] * 2))).mode == "LA"
    assert to_pil(as_photo(np.dstack([face, face[..., 0]]))).mode == "RGBA"
