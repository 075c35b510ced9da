"""What is drawn before faces: the mask says where."""

import numpy as np
import pytest

from faceedit.data import occluders
from faceedit.data.occluders import Canvas, occlude
from faceedit.faces.alignment import alignment, crop_face
from faceedit.faces.detector import FaceDetector
from faceedit.faces.eyes import LandmarkFinder
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT

SIDE = 128


@pytest.fixture(scope="module")
def face():
    photo = read_photo(ASTRONAUT).pixels
    crop = crop_face(photo, alignment(FaceDetector().detect(photo)[0].landmarks, SIDE), SIDE)
    return crop, LandmarkFinder("cpu").find(crop)


def test_a_draw_follows_its_generator_and_differs_from_the_next(face):
    crop, landmarks = face
    drawn = [occlude(crop, landmarks, crop[::-1], np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert all(np.array_equal(*pair) for pair in zip(drawn[0], drawn[1], strict=True))
    assert not np.array_equal(drawn[0][0], drawn[2][0])
    for image, mask in drawn:
        assert image.shape == crop.shape
        assert image.dtype == np.uint8
        assert mask.shape == crop.shape[:2]
        assert 0 <= mask.min() <= mask.max() <= 1


def test_some_faces_have_nothing_before_them(face):
    crop, landmarks = face
    areas = [occlude(crop, landmarks, crop, np.random.default_rng(seed))[1].mean() for seed in range(40)]
    assert 3 < sum(area == 0 for area in areas) < 20


@pytest.mark.parametrize("draw", dict.fromkeys(occluders.DRAWN), ids=lambda draw: draw.__name__)
def test_the_mask_covers_what_hides_the_face_and_no_more(face, draw):
    crop, landmarks = face
    shares = []
    for seed in range(12):
        canvas = Canvas(crop, landmarks, crop[::-1], np.random.default_rng(seed))
        canvas.shadow = lambda area: None
        before = canvas.image.copy()
        draw(canvas)
        changed = np.abs(canvas.image - before).max(-1) > 0
        if canvas.mask.any():
            assert changed[canvas.mask > 0.5].mean() > 0.95
        if draw is not occluders._glasses:  # whose lenses shine and do not hide
            assert not changed[canvas.mask == 0].any()
        shares.append(canvas.mask.mean())
    assert sum(share > 0.002 for share in shares) > 6


def test_glasses_lie_around_the_eyes(face):
    crop, landmarks = face
    canvas = Canvas(crop, landmarks, crop, np.random.default_rng(0))
    lenses, temples, bridge = occluders._outlines(canvas)
    for lens, temple, eye in zip(lenses, temples, canvas.eyes, strict=True):
        assert np.linalg.norm(lens.mean(0) - eye) < 0.25 * canvas.unit
        assert (lens.min(0) < eye).all()
        assert (eye < lens.max(0)).all()
        assert np.linalg.norm(temple[0] - lens, axis=1).min() < 0.15 * canvas.unit
    assert canvas.eyes[0][0] < bridge[0, 0] < bridge[-1, 0] < canvas.eyes[1][0]
