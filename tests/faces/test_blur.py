import cv2
import numpy as np
import pytest

from faceedit.faces.alignment import crop_face
from faceedit.faces.blur import blur


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_how_blurred_a_photo_is_shows_at_its_edges(sigma):
    photo = np.kron(np.random.default_rng(0).integers(0, 2, (10, 10)), np.ones((40, 40))).astype(np.float32) * 200
    photo = cv2.GaussianBlur(photo, (0, 0), sigma)[..., None].repeat(3, 2).astype(np.uint8)
    assert blur(photo) == pytest.approx(sigma, rel=0.1)
    assert blur(crop_face(photo, np.eye(2, 3) / 2, 200)) == pytest.approx(sigma / 2, abs=0.2)


def test_a_face_without_edges_is_not_called_blurred():
    assert blur(np.full((50, 50, 3), 90, np.uint8)) == 0
