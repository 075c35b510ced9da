import cv2
import numpy as np
import pytest

from faceedit.face import TEMPLATE, FaceDetector, alignment, apply_edit, blur, crop_face, similarity
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT, draw_face, face_at


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


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_how_blurred_a_photo_is_shows_at_its_edges(sigma):
    photo = np.kron(np.random.default_rng(0).integers(0, 2, (10, 10)), np.ones((40, 40))).astype(np.float32) * 200
    photo = cv2.GaussianBlur(photo, (0, 0), sigma)[..., None].repeat(3, 2).astype(np.uint8)
    assert blur(photo) == pytest.approx(sigma, rel=0.1)
    assert blur(crop_face(photo, np.eye(2, 3) / 2, 200)) == pytest.approx(sigma / 2, abs=0.2)


def test_a_face_without_edges_is_not_called_blurred():
    assert blur(np.full((50, 50, 3), 90, np.uint8)) == 0


def test_an_edit_of_nothing_changes_nothing():
    photo = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    matrix = alignment(face_at(30.4, 40.7, 111.3).landmarks, 96)
    zero = np.zeros((96, 96, 4), np.float32)
    assert (apply_edit(photo, matrix, zero[..., :2], zero) == photo).all()


def test_pixels_outside_the_face_keep_their_values_and_the_border_shows_no_step():
    photo = np.full((200, 220, 3), 100, np.uint8)
    face = face_at(50, 40, 100)
    matrix = alignment(face.landmarks, 96)
    paint = np.full((96, 96, 4), (0.3, 0.3, 0.3, 0), np.float32)
    edited = apply_edit(photo, matrix, np.full((96, 96, 2), 3, np.float32), paint)
    changed = np.argwhere((edited != photo).any(-1))
    assert (changed.min(0) >= (40, 50)).all()
    assert (changed.max(0) < (160, 150)).all()
    assert edited[90, 100].tolist() == [176, 176, 176]
    steps = np.abs(np.diff(edited[90, :, 0].astype(int)))
    assert steps.max() < 14  # 76 levels, spread over the feather


def test_a_warp_moves_the_photos_own_pixels_at_their_own_resolution():
    rng = np.random.default_rng(1)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (900, 900, 3), np.uint8), (0, 0), 2)
    matrix = alignment(face_at(100, 100, 700).landmarks, 96)
    scale = 700 / 96
    flow = np.zeros((96, 96, 2), np.float32)
    flow[..., 0] = 8 / scale  # content comes from 8 photo pixels to the right
    edited = apply_edit(photo, matrix, flow, np.zeros((96, 96, 4), np.float32))
    middle = slice(350, 550)
    assert np.abs(edited[middle, middle].astype(int) - photo[middle, 358:558]).mean() < 1


def test_jaws_drop_below_the_crop_and_nothing_is_painted_there():
    photo = np.full((240, 220, 3), np.arange(240, dtype=np.uint8)[:, None, None], np.uint8)
    matrix = alignment(face_at(50, 40, 100).landmarks, 100)
    flow, paint = np.zeros((100, 100, 2), np.float32), np.zeros((100, 100, 4), np.float32)
    flow[60:, :, 1] = -4  # a jaw that drops by four pixels
    paint[60:] = (0.5, 0.5, 0.5, 1)
    dropped = apply_edit(photo, matrix, flow, np.zeros_like(paint))[:, 100, 0].astype(int)
    assert (photo[130:142, 100, 0] - dropped[130:142] == 4).all()  # a chin at the border moves all the way
    assert (np.diff(dropped[130:170]) >= 0).all()  # nothing folds over below it
    assert (dropped[160:] == photo[160:, 100, 0]).all()
    drawn = apply_edit(photo, matrix, np.zeros_like(flow), paint)
    assert (drawn[140:] == photo[140:]).all()


def test_paint_hides_as_much_of_the_photo_as_it_says():
    photo = np.random.default_rng(0).integers(0, 256, (200, 220, 3), np.uint8)
    matrix = alignment(face_at(50, 40, 100).landmarks, 96)
    still = np.zeros((96, 96, 2), np.float32)
    half, whole = (
        apply_edit(photo, matrix, still, np.full((96, 96, 4), (0.2 * share,) * 3 + (share,), np.float32))
        for share in (0.5, 1)
    )
    middle = slice(80, 100), slice(90, 110)
    assert (whole[middle] == 51).all()
    np.testing.assert_allclose(half[middle], photo[middle] / 2 + 25.5, atol=1)


@pytest.mark.parametrize(("x", "y"), [(-60, 20), (150, 150), (-400, 0)])
def test_a_face_half_outside_the_frame_is_edited_inside_it(x, y):
    photo = np.full((200, 200, 3), 100, np.uint8)
    edited = apply_edit(
        photo,
        alignment(face_at(x, y, 100).landmarks, 96),
        np.zeros((96, 96, 2), np.float32),
        np.full((96, 96, 4), (0.2, 0.2, 0.2, 0), np.float32),
    )
    assert edited.shape == photo.shape
    assert (edited != photo).any() == (x > -100)


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
