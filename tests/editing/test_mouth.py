from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from faceedit.editing import mouth as editing
from faceedit.editing.mouth import RIM, MouthEdit, MouthInpainting
from faceedit.faces.alignment import alignment, scaled
from faceedit.models.mouth.inpainter import LATENTS, MOUTH_KINDS, TYPICAL_BLUR, mouth_mask, region
from tests.conftest import draw_face, face_at
from tests.models.test_inpainter import mouth

SIDE = 96  # of the crops that the matrices lead to


@pytest.fixture(scope="module")
def inpainting():
    return MouthInpainting()


@pytest.fixture(scope="module")
def wanted():
    landmarks = mouth(0.1)
    mask = mouth_mask(landmarks, 256, 1.0)[0, 0].numpy()
    return MouthEdit(mask, landmarks[0].numpy(), chosen(0))


def chosen(person: int, kind: int = 0) -> np.ndarray:
    choice = np.zeros((MOUTH_KINDS, LATENTS), np.float32)
    choice[kind, person] = 1
    return choice


def photo(side: int, x: int = 30, y: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """A face of this side in a photo, and its alignment."""
    image = np.full((side + 50, side + 80, 3), 128, np.uint8)
    image[20 : 20 + side, 30 : 30 + side] = draw_face(side)
    return image, alignment(face_at(x, y, side).landmarks, SIDE)


@pytest.mark.parametrize("side", [60, 200, 700])
def test_only_what_the_mask_hides_is_inpainted(inpainting, wanted, side):
    image, matrix = photo(side)
    inpainted = inpainting.inpaint(image.copy(), matrix, SIDE, wanted, 1.0)
    changed = np.argwhere((inpainted != image).any(-1)) - (20, 30)
    (top, left), (bottom, right) = changed.min(0) / side, changed.max(0) / side
    assert 0.6 < top < 0.74
    assert 0.76 < bottom < 0.9
    assert 0.3 < left < 0.45
    assert 0.55 < right < 0.7
    middle = inpainted[20 + round(0.75 * side), 30 + side // 2].astype(int)
    assert np.abs(middle - image[20 + round(0.75 * side), 30 + side // 2]).max() > 8


def test_nothing_hidden_is_nothing_inpainted(inpainting, wanted):
    image, matrix = photo(100)
    nothing = wanted.faded(0.0)
    assert inpainting.inpaint(image, matrix, SIDE, nothing, 1.0) is image


def test_a_person_keeps_a_mouth_and_others_get_others(inpainting, wanted):
    image, matrix = photo(200)
    mouths = (replace(wanted, choice=chosen(person)) for person in (0, 0, 1))
    first, again, other = (inpainting.inpaint(image.copy(), matrix, SIDE, x, 1.0) for x in mouths)
    assert (first == again).all()
    assert (first != other).any()


def test_another_edit_of_a_person_keeps_the_person(wanted):
    first, smile = replace(wanted, choice=chosen(3, 1)), replace(wanted, choice=chosen(5, 0))
    assert (smile.of_same(first).choice == chosen(3, 0)).all()


def test_what_was_behind_the_lips_does_not_matter(inpainting, wanted):
    image, matrix = photo(200)
    other = image.copy()
    other[20 + 146 : 20 + 154, 30 + 90 : 30 + 110] = (0, 255, 0)
    a, b = (
        inpainting.inpaint(x.copy(), matrix, SIDE, wanted, 1.0)[20 + 148 : 20 + 152, 30 + 95 : 30 + 105]
        for x in (image, other)
    )
    assert np.abs(a.astype(int) - b).max() <= 1


@pytest.mark.parametrize(("x", "y"), [(-120, 20), (30, -160), (2000, 2000), (200, 120)])
def test_a_mouth_at_the_frames_edge_or_beyond_is_no_trouble(inpainting, wanted, x, y):
    image, _ = photo(200)
    inpainted = inpainting.inpaint(image.copy(), alignment(face_at(x, y, 200).landmarks, SIDE), SIDE, wanted, 1.0)
    assert inpainted.shape == image.shape


def test_edits_meet_half_way(wanted):
    far = replace(wanted, mask=np.zeros_like(wanted.mask), choice=chosen(1), landmarks=wanted.landmarks + 0.5)
    between = wanted.towards(far, 0.5)
    np.testing.assert_allclose(between.mask, wanted.mask / 2)
    np.testing.assert_allclose(between.choice, (chosen(0) + chosen(1)) / 2)
    assert torch.from_numpy(between.landmarks).dtype == torch.float32


@pytest.mark.parametrize(("sigma", "share"), [(editing.COLOUR_SIGMA, 0.6), (2.5, 0.3)])
def test_colours_are_smoother_than_light(inpainting, wanted, monkeypatch, sigma, share):
    noise = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0)) * 2 - 1
    monkeypatch.setattr(inpainting._model, "forward", lambda *_: noise)
    monkeypatch.setattr(editing, "COLOUR_SIGMA", sigma)
    image, matrix = photo(256)
    inpainted = inpainting.inpaint(image.copy(), matrix, SIDE, wanted, 1.0)
    inside = inpainted[20 + 180 : 20 + 204, 30 + 112 : 30 + 144].astype(float)
    tint = inside[..., 0] - inside[..., 1]
    assert inside.mean(-1).std() > 20
    assert tint.std() < share * inside.mean(-1).std()


@pytest.mark.parametrize("kind", range(MOUTH_KINDS - 1))  # of the last, only the part below kept teeth is drawn
def test_mouths_are_as_sharp_as_their_photo(inpainting, wanted, kind):
    image, matrix = photo(700)

    def detail(softness):
        edits = (replace(wanted, choice=chosen(person, kind)) for person in range(LATENTS))
        drawn = np.stack([inpainting.inpaint(image.copy(), matrix, SIDE, edit, softness) for edit in edits])
        inside = drawn[:, 20 + 480 : 20 + 560, 30 + 300 : 30 + 400].astype(np.float32)
        return np.mean([np.abs(cv2.Laplacian(x, cv2.CV_32F)) for x in inside])

    assert detail(0.0) > 1.2 * detail(2.0)


def test_the_network_is_asked_for_a_mouth_a_little_sharper_than_the_photo(inpainting, wanted, monkeypatch):
    asked = []
    forward = inpainting._model.forward
    monkeypatch.setattr(inpainting._model, "forward", lambda *given: asked.append(given[2]) or forward(*given))
    image, matrix = photo(256)
    inpainting.inpaint(image, matrix, SIDE, wanted, 1.5)
    (condition,) = asked
    assert condition[0, 0].item() == pytest.approx(1.5 - editing.SHARPER - TYPICAL_BLUR)


def test_detail_around_the_opening_is_the_photos_and_inside_it_is_not(inpainting, wanted):
    image, matrix = photo(512)
    noise = np.random.default_rng(0).integers(-30, 30, image.shape[:2])[..., None]
    image = (image + noise).clip(0, 255).astype(np.uint8)
    landmarks = torch.from_numpy(wanted.landmarks[None])
    with_corners = replace(wanted, mask=mouth_mask(landmarks, 256, 1.0, corners=16.0)[0, 0].numpy())
    inpainted = inpainting.inpaint(image.copy(), matrix, SIDE, with_corners, 1.0).astype(np.float32)
    rows, columns = region(256)
    to_photo = cv2.invertAffineTransform(scaled(matrix, 256 / SIDE) - [[0, 0, columns.start], [0, 0, rows.start]])

    def where(mask: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(mask.astype(np.float32), to_photo, image.shape[1::-1]) > 0.99

    opening = mouth_mask(landmarks, 256, RIM)[0, 0].numpy()
    inside = where(mouth_mask(landmarks, 256, -3.0)[0, 0].numpy())
    around = where((with_corners.mask > 0.95) * (opening == 0))
    assert around.sum() > 100
    fine, own = (x - cv2.GaussianBlur(x, (0, 0), 2) for x in (inpainted, image.astype(np.float32)))
    for place, low, high in ((around, 0.9, 1.0), (inside, -0.2, 0.2)):
        assert low < np.corrcoef(fine[place].ravel(), own[place].ravel())[0, 1] <= high
