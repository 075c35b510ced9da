import cv2
import numpy as np
import pytest

from faceedit.faces.detector import FaceDetector
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT


def test_the_detector_finds_the_astronaut_however_large_the_photo():
    photo = read_photo(ASTRONAUT).pixels
    detector = FaceDetector()
    (face,) = detector.detect(photo)
    eyes = face.landmarks[:2]
    assert 150 < eyes[0, 0] < eyes[1, 0] < 300
    large = cv2.resize(photo, (2000, 2000), interpolation=cv2.INTER_CUBIC)
    (same,) = detector.detect(large)
    np.testing.assert_allclose(same.landmarks * 512 / 2000, face.landmarks, atol=4)


@pytest.mark.parametrize("side", [30, 50])
def test_the_landmarks_of_small_faces_lie_where_the_large_ones_do(side):
    detector, photo = FaceDetector(), read_photo(ASTRONAUT).pixels[:256, 80:336]
    face = detector.detect(photo)[0]
    scale = side / face.side
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    off = []
    for start in (20, 25, 31, 36):  # the detector's windows have whole pixels: only on average is one exact
        canvas = np.full((200, 200, 3), 128, np.uint8)
        canvas[start : start + small.shape[0], start : start + small.shape[1]] = small
        off.append(detector.detect(canvas)[0].landmarks - (face.landmarks + 0.5) * scale + 0.5 - start)
    assert np.abs(np.mean(off, axis=(0, 1))).max() < 0.4  # pixels


@pytest.mark.parametrize("shape", [(10, 10), (1, 1), (19, 400), (64, 64)])
def test_a_picture_without_a_face_gives_none(shape):
    assert FaceDetector().detect(np.full((*shape, 3), 90, np.uint8)) == []


def test_a_small_face_of_a_large_photo_is_found_at_full_size():
    photo = np.full((1800, 2600, 3), 60, np.uint8)
    face = cv2.resize(read_photo(ASTRONAUT).pixels[:220, 120:340], (50, 50), interpolation=cv2.INTER_AREA)
    photo[900:950, 1200:1250] = face
    faces = FaceDetector().detect(photo)
    assert faces
    assert np.abs(faces[0].landmarks.mean(0) - (1225, 925)).max() < 15


def test_small_faces_of_a_large_photo_are_all_found_once_across_the_seams_of_tiles():
    photo = np.full((1500, 2300, 3), 90, np.uint8)
    face = cv2.resize(read_photo(ASTRONAUT).pixels[:220, 120:340], (64, 64), interpolation=cv2.INTER_AREA)
    places = [(x, y) for x in range(30, 2200, 145) for y in (30, 600, 990, 1400)]
    for x, y in places:
        photo[y : y + 64, x : x + 64] = face
    photo[200:556, 700:1056] = cv2.resize(face, (356, 356))  # the largest, which lies across a seam
    found = FaceDetector().detect(photo)
    middles = np.array([face.landmarks.mean(0) for face in found])
    wanted = np.array([(878, 378), *((x + 32, y + 32) for x, y in places)])
    assert len(found) == len(wanted)
    assert (np.abs(middles[:, None] - wanted).max(2).min(0) < (40, *[12] * len(places))).all()
    assert found[0].side > 2 * found[1].side
