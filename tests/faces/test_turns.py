import numpy as np
import pytest

from faceedit.faces.detector import FaceDetector
from faceedit.faces.mtcnn import Detections
from faceedit.faces.turns import _turned, _turned_back
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT

PHOTO = read_photo(ASTRONAUT).pixels[:400, 40:440]


@pytest.fixture(scope="module")
def detector():
    return FaceDetector()


def turned_landmarks(landmarks, turns, side=400):
    for _ in range(turns):
        landmarks = np.stack([landmarks[:, 1], side - 1 - landmarks[:, 0]], axis=1)
    return landmarks


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_on_its_side_or_upside_down_is_found_upright(detector, turns, largest):
    (face,) = detector.detect(PHOTO)
    (found,) = detector.detect(np.ascontiguousarray(np.rot90(PHOTO, turns)), largest)
    np.testing.assert_allclose(found.landmarks, turned_landmarks(face.landmarks, turns), atol=3)
    assert (found.box[:2] < found.landmarks.min(0)).all()
    assert (found.box[2:] > found.landmarks.max(0)).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_whose_features_were_found_elsewhere_is_put_right(detector, turns):
    found = detector._cascade.search(PHOTO, 28, 0.9)
    image = np.ascontiguousarray(np.rot90(PHOTO, turns))
    box = _turned(found.boxes[0], turns, PHOTO.shape)
    features = box[:2] + np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8)]) * (box[2:] - box[:2])
    wrong = Detections(box[None], np.array([0.97]), features[None])
    (landmarks,) = detector._turns.upright(image, wrong).landmarks
    np.testing.assert_allclose(landmarks, turned_landmarks(found.landmarks[0] - 1, turns) + 1, atol=3)


def test_a_face_in_doubt_that_stands_upright_stays_as_it_is(detector):
    found = detector._cascade.search(PHOTO, 28, 0.9)
    for doubtful in (0.9, 0.995):
        (kept,) = detector._turns.upright(PHOTO, Detections(found.boxes, np.array([doubtful]), found.landmarks)).each()
        assert (kept.landmarks == found.landmarks).all()


def test_what_stands_upright_in_no_turn_is_refused(detector):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    features = 40 + 100 * np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.3, 0.8), (0.7, 0.8)])
    false = Detections(np.array([[40.0, 40, 140, 140]]), np.array([0.95]), features[None])
    assert not len(detector._turns.upright(noise, false).boxes)


def test_turning_back_undoes_quarter_turns():
    box = np.array([3.0, 4, 13, 24])
    for turns in (1, 2, 3):
        turned = _turned(box, turns, (50, 70, 3))
        found = Detections(turned[None], np.ones(1), turned.reshape(1, 2, 2))
        back = _turned_back(found, turns, (50, 70, 3))
        assert back.boxes[0].tolist() == box.tolist()
        low, high = back.landmarks[0].min(0), back.landmarks[0].max(0)
        assert [*low, *high] == box.tolist()
