import cv2
import numpy as np
import pytest

from faceedit.editing.compositing import apply_edit
from faceedit.faces.alignment import alignment
from tests.conftest import face_at


def test_an_edit_of_nothing_changes_nothing():
    photo = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    matrix = alignment(face_at(30.4, 40.7, 111.3).landmarks, 96)
    zero = np.zeros((96, 96, 3), np.float32)
    assert (apply_edit(photo, matrix, zero[..., :2], zero) == photo).all()


def test_pixels_outside_the_face_keep_their_values_and_the_border_shows_no_step():
    photo = np.full((200, 220, 3), 100, np.uint8)
    face = face_at(50, 40, 100)
    matrix = alignment(face.landmarks, 96)
    residual = np.full((96, 96, 3), 0.3, np.float32)
    edited = apply_edit(photo, matrix, np.full((96, 96, 2), 3, np.float32), residual)
    changed = np.argwhere((edited != photo).any(-1))
    assert (changed.min(0) >= (40, 50)).all()
    assert (changed.max(0) < (160, 150)).all()
    assert set(edited[90, 100].tolist()) <= {176, 177}  # 176.5
    steps = np.abs(np.diff(edited[90, :, 0].astype(int)))
    assert steps.max() < 14  # 76 levels, spread over the feather


def test_a_warp_moves_the_photos_own_pixels_at_their_own_resolution():
    rng = np.random.default_rng(1)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (900, 900, 3), np.uint8), (0, 0), 2)
    matrix = alignment(face_at(100, 100, 700).landmarks, 96)
    scale = 700 / 96
    flow = np.zeros((96, 96, 2), np.float32)
    flow[..., 0] = 8 / scale  # content comes from 8 photo pixels to the right
    edited = apply_edit(photo, matrix, flow, np.zeros((96, 96, 3), np.float32))
    middle = slice(350, 550)
    assert np.abs(edited[middle, middle].astype(int) - photo[middle, 358:558]).mean() < 1


def test_jaws_drop_below_the_crop_and_nothing_is_painted_there():
    photo = np.full((240, 220, 3), np.arange(240, dtype=np.uint8)[:, None, None], np.uint8)
    matrix = alignment(face_at(50, 40, 100).landmarks, 100)
    flow, residual = np.zeros((100, 100, 2), np.float32), np.zeros((100, 100, 3), np.float32)
    flow[60:, :, 1] = -4  # a jaw that drops by four pixels
    residual[60:] = 0.5
    dropped = apply_edit(photo, matrix, flow, np.zeros_like(residual))[:, 100, 0].astype(int)
    assert (photo[130:142, 100, 0] - dropped[130:142] == 4).all()  # a chin at the border moves all the way
    assert (np.diff(dropped[130:170]) >= 0).all()  # nothing folds over below it
    assert (dropped[160:] == photo[160:, 100, 0]).all()
    drawn = apply_edit(photo, matrix, np.zeros_like(flow), residual)
    assert (drawn[140:] == photo[140:]).all()


@pytest.mark.parametrize(("x", "y"), [(-60, 20), (150, 150), (-400, 0)])
def test_a_face_half_outside_the_frame_is_edited_inside_it(x, y):
    photo = np.full((200, 200, 3), 100, np.uint8)
    edited = apply_edit(
        photo,
        alignment(face_at(x, y, 100).landmarks, 96),
        np.zeros((96, 96, 2), np.float32),
        np.full((96, 96, 3), 0.2, np.float32),
    )
    assert edited.shape == photo.shape
    assert (edited != photo).any() == (x > -100)
