import numpy as np
import pytest

from faceedit.faces.alignment import TEMPLATE, alignment, crop_face, similarity
from tests.conftest import draw_face, face_at


def test_alignment_brings_turned_landmarks_to_the_template():
    angle, scale = 0.4, 3.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (TEMPLATE * 100) @ turn.T + (40, 70)
    matrix = alignment(landmarks, 96)
    aligned = landmarks @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(aligned, TEMPLATE * 96 - 0.5, atol=1e-9)


def test_similarity_never_mirrors():
    points = np.array([(0.0, 0.0), (1, 0), (0, 1)])
    assert np.linalg.det(similarity(points, points * (-1, 1))[:, :2]) >= 0


@pytest.mark.parametrize("side", [48, 96, 300, 1500])
def test_a_crop_shows_the_same_face_at_every_size_of_the_photo(side):
    photo = np.full((side + 40, side + 60, 3), 128, np.uint8)
    photo[10 : 10 + side, 25 : 25 + side] = draw_face(side)
    crop = crop_face(photo, alignment(face_at(25, 10, side).landmarks, 96), 96)
    difference = np.abs(crop.astype(int) - draw_face(96))[4:-4, 4:-4]
    assert difference.mean() < (4 if side >= 96 else 9)
