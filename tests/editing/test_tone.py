"""Photos in one tone stay so; photos in colour are not touched by it."""

import numpy as np
import pytest

from faceedit.editing.editor import FaceEditor
from faceedit.editing.tone import CUT, IN_COLOUR, tone_of
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT

SEPIA = np.array([20.0, 8.0, -4.0]), np.array([0.92, 0.85, 0.7])
GREY = np.zeros(3), np.ones(3)


def toned(pixels, base, slope):
    light = pixels.astype(float) @ (0.299, 0.587, 0.114)
    return np.rint(base + slope * light[..., None]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photo():
    return read_photo(ASTRONAUT).pixels


@pytest.fixture(scope="module")
def editor():
    return FaceEditor.from_pretrained(device="cpu")


@pytest.mark.parametrize(("base", "slope"), [GREY, SEPIA], ids=["grey", "sepia"])
def test_an_edit_of_a_photo_in_one_tone_is_in_that_tone(photo, editor, base, slope):
    before = toned(photo, base, slope)
    after = editor.edit(before, emotion="afraid").image
    changed = (after != before).any(-1)
    light = np.linspace(0, 255, 2000)[:, None] * slope + base
    apart = np.abs(after[changed][:, None].astype(float) - light[None, ::8]).max(-1).min(1)
    assert changed.sum() > 3000
    assert np.percentile(apart, 99.9) < 4
    own = editor.edit(photo, emotion="afraid").image  # in colour, it departs from any such line by far
    apart = np.abs(own[changed][:, None].astype(float) - light[None, ::8]).max(-1).min(1)
    assert np.percentile(apart, 99.9) > 20


def test_photos_in_colour_and_without_light_have_no_tone(photo):
    assert tone_of(photo[60:200, 160:300]) is IN_COLOUR
    assert tone_of(np.full((8, 8, 3), (9, 80, 200), np.uint8)) is IN_COLOUR
    pixels = np.random.default_rng(0).normal(0, 50, (5, 5, 3)).astype(np.float32)
    assert IN_COLOUR.take(pixels) is pixels
    assert IN_COLOUR.added(pixels) is pixels


@pytest.mark.parametrize(("base", "slope"), [GREY, SEPIA], ids=["grey", "sepia"])
def test_the_tone_is_found_and_noise_of_jpeg_forgiven(photo, base, slope):
    noise = np.random.default_rng(0).normal(0, 1, photo.shape)
    tone = tone_of((toned(photo, base, slope) + noise).clip(0, 255).astype(np.uint8)[60:200, 160:300])
    assert tone.share == 1
    # Luminance of the toned photo is not the light it was toned from.
    light = np.array([50.0, 200.0])[:, None]
    colours = (base + slope * light).astype(np.float32)
    assert np.abs(tone.take(colours) - colours).max() < 3
    ends = tone.take(np.array([[0, 0, 0], [255, 255, 255]], np.float32))
    assert ends.min() > -CUT - 0.01  # or a channel would be cut off, and the tone be lost
    assert ends.max() < 255 + CUT + 0.01


def test_between_one_tone_and_colour_it_comes_gradually(photo):
    face = photo[60:200, 160:300]
    grey = toned(face, *GREY).astype(float)
    shares = [tone_of(np.rint(grey + part * (face - grey)).astype(np.uint8)).share for part in (0, 0.1, 0.15, 0.2, 1)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1
    assert shares[-1] == 0
    assert any(0 < share < 1 for share in shares)
