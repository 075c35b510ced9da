import cv2
import numpy as np
import pytest

from faceedit.editing.compositing import FINER, apply_edit
from faceedit.faces.alignment import alignment, crop_face, scaled
from faceedit.faces.detector import FaceDetector
from faceedit.faces.eyelids import Eye, eyeballs
from faceedit.faces.eyes import LandmarkFinder, find_eyes
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT

SIZE, LARGER = 96, 6  # of the crop, and of the drawn photo's pixels
IRIS, RADIUS, HALF = np.array([47.5, 47.5]), 5.0, 12.0  # pixels of the crop
MATRIX = np.array([[1, 0, 0.5], [0, 1, 0.5]]) / LARGER - np.array([[0, 0, 0.5], [0, 0, 0.5]])
DARK = 60
NOTHING = np.zeros((SIZE, SIZE, 3), np.float32)


def lids(above: float, below: float) -> np.ndarray:
    """The upper and the lower lid (2, 9, 2), flat arches so far above and below the iris's middle."""
    x = np.linspace(-1, 1, 9)
    return np.stack([IRIS + np.stack([HALF * x, height * (1 - x**4)], axis=1) for height in (-above, below)])


def drawn_eye(above: float = 3.5, below: float = 4.5) -> tuple[np.ndarray, Eye]:
    """A photo of an eye with a dark iris that the upper lid and its lashes hide a part of, and the eye."""
    y, x = (np.mgrid[: SIZE * LARGER, : SIZE * LARGER] + 0.5) / LARGER - 0.5
    edges = [np.interp(x, *lid.T) for lid in lids(above, below)]
    iris = np.hypot(x - IRIS[0], y - IRIS[1]) < RADIUS
    lashes = y < edges[0] + 1
    photo = np.where((y > edges[0]) & (y < edges[1]), np.where(lashes, 140, np.where(iris, DARK, 240)), 160)
    photo = cv2.GaussianBlur(photo.astype(np.uint8), (0, 0), 1)[..., None].repeat(3, 2)
    eye = Eye((IRIS + 0.5) / SIZE, RADIUS / SIZE, (lids(above, below) + 0.5) / SIZE, 1.0)
    return photo, eye


def lifted(upper: float) -> np.ndarray:
    """A flow (SIZE, SIZE, 2) that moves the upper lid up by so many pixels, and what is around it less and less."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    flow = np.zeros((SIZE, SIZE, 2), np.float32)
    far = (y - (IRIS[1] - 4 - upper)) / 6
    flow[..., 1] = upper * np.exp(-(far**2)) * np.exp(-(((x - IRIS[0]) / 10) ** 4))
    return flow


def roundness(photo: np.ndarray, rows: slice = slice(None)) -> float:
    """How far what is dark in these rows and the whole disc of the iris are the same: their intersection over union."""
    y, x = (np.mgrid[: SIZE * LARGER, : SIZE * LARGER] + 0.5) / LARGER - 0.5
    disc, dark = np.hypot(x - IRIS[0], y - IRIS[1])[rows] < RADIUS, photo[rows, :, 0] < (DARK + 140) / 2
    return (disc & dark).sum() / (disc | dark).sum()


def test_an_iris_stays_round_where_lids_open():
    photo, eye = drawn_eye()
    stretched, whole = (apply_edit(photo, MATRIX, lifted(3.0), NOTHING, eyes) for eyes in ((), (eye,)))
    assert roundness(photo) < 0.78  # lid and lashes hide its top
    assert roundness(stretched) < 0.86
    assert roundness(whole) > 0.92


def test_lids_that_close_hide_an_iris_and_do_not_squeeze_it():
    photo, eye = drawn_eye(above=4.5)
    squeezed, hidden = (apply_edit(photo, MATRIX, lifted(-3.0), NOTHING, eyes) for eyes in ((), (eye,)))
    below = slice(round((IRIS[1] + 0.5) * LARGER), None)
    assert roundness(photo, below) > 0.9
    assert roundness(squeezed, below) < 0.82
    assert roundness(hidden, below) > 0.94
    assert roundness(hidden) < 0.65


def test_a_flow_that_moves_nothing_leaves_eyes_as_they_are():
    photo, eye = drawn_eye()
    noisy = (photo + np.random.default_rng(0).integers(0, 15, photo.shape)).astype(np.uint8)
    assert (apply_edit(noisy, MATRIX, lifted(0), NOTHING, (eye,)) == noisy).all()


def test_an_eye_goes_with_the_head():
    photo, eye = drawn_eye()
    aside = np.full((SIZE, SIZE, 2), (-2.0, 1.0), np.float32)  # two pixels to the right, one up
    moved, shown = (apply_edit(photo, MATRIX, aside, NOTHING, eyes) for eyes in ((), (eye,)))
    assert np.abs(moved.astype(int) - shown).max() <= 2


@pytest.mark.parametrize(("above", "below", "trust"), [(-0.5, 4.5, 1.0), (1.0, 1.0, 1.0), (3.5, 4.5, 0.0)])
def test_eyes_that_are_closed_or_not_seen_clearly_are_left_to_the_flow(above, below, trust):
    eye = Eye((IRIS + 0.5) / SIZE, RADIUS / SIZE, (lids(above, below) + 0.5) / SIZE, trust)
    assert eyeballs((eye,), lifted(3.0)) == []


def test_the_irises_of_a_photo_are_found_also_in_its_mirror():
    photo = read_photo(ASTRONAUT).pixels
    finder, detector = LandmarkFinder(), FaceDetector()
    found = []
    for image in (photo, photo[:, ::-1].copy()):
        matrix = alignment(detector.detect(image)[0].landmarks, SIZE)
        landmarks = finder.find(crop_face(image, matrix, SIZE))
        eyes = find_eyes(landmarks, crop_face(image, scaled(matrix, FINER), SIZE * FINER))
        inverse = cv2.invertAffineTransform(matrix)
        found.append([inverse[:, :2] @ (eye.iris * SIZE - 0.5) + inverse[:, 2] for eye in eyes])
        assert eyes[0].radius == eyes[1].radius
        assert eyes[0].radius * SIZE / np.hypot(*matrix[0, :2]) == pytest.approx(4.1, abs=0.3)
        assert min(eye.trust for eye in eyes) == 1
    np.testing.assert_allclose(found[0], [(203.4, 100.7), (246.4, 102.7)], atol=0.7)
    mirrored = [(photo.shape[1] - 1 - x, y) for x, y in found[1][::-1]]
    np.testing.assert_allclose(mirrored, found[0], atol=0.7)


def test_a_crop_without_eyes_is_not_trusted():
    crop = np.full((SIZE, SIZE, 3), 120, np.uint8)
    assert [eye.trust for eye in find_eyes(LandmarkFinder().find(crop), crop)] == [0, 0]
