"""What lies before a face stays where it is, and skin beside it is not doubled."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceedit.circumplex import Affect, named_emotion
from faceedit.data.occluders import Canvas, _cloth, _glasses
from faceedit.editing.backends import FaceEdit
from faceedit.editing.editor import FaceEditor
from faceedit.editing.mouth import MouthEdit
from faceedit.editing.occlusion import Occluders
from faceedit.faces.alignment import alignment, crop_face
from faceedit.faces.eyelids import Eye
from faceedit.media.image import read_photo
from faceedit.models.face_mesh import POINTS
from faceedit.models.mouth.inpainter import LATENTS, MOUTH_KINDS
from tests.conftest import ASTRONAUT

SIZE = 96


@pytest.fixture(scope="module")
def editor():
    return FaceEditor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def crop(editor):
    photo = read_photo(ASTRONAUT).pixels
    return crop_face(photo, alignment(editor.detect(photo)[0].landmarks, 384), 384)


@pytest.fixture(scope="module")
def landmarks(editor, crop):
    return editor.landmark_finder.find(cv2.resize(crop, (96, 96), interpolation=cv2.INTER_AREA))


def occluders(hidden, landmarks=None):
    distance = cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / len(hidden)
    landmarks = np.full((len(POINTS), 2), 0.5) if landmarks is None else landmarks
    return Occluders(distance.astype(np.float32), landmarks)


def edit(flow=(0, 6)):
    mouth = MouthEdit(np.ones((96, 160), np.float32), np.zeros((len(POINTS), 2)), np.zeros((MOUTH_KINDS, LATENTS)))
    return FaceEdit(np.full((SIZE, SIZE, 2), flow, np.float32), np.ones((384, 384, 3), np.float32), mouth)


def test_no_pixel_is_taken_from_an_occluder_and_none_beside_it_twice():
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[40:44] = True  # a rim across the face, towards which the flow points from above
    spared = occluders(hidden).spare(edit())
    assert not spared.flow[40:44].any()
    rows = np.arange(SIZE)
    source = rows + spared.flow[:, 50, 1]
    assert not hidden[np.rint(source[:40]).astype(int), 50].any()
    assert (np.diff(source) > 0).all()
    assert (spared.flow[:28, :, 1] == 6).all()  # far from it the edit is what it was
    assert spared.residual[160:176].max() < 0.02
    assert (spared.residual[:140] == 1).all()


def test_a_mouth_that_is_mostly_covered_stays(landmarks):
    everything = edit()
    half = np.zeros((SIZE, SIZE), bool)
    half[int(SIZE * 0.6) :] = True
    covered = occluders(half, landmarks).spare(everything)
    assert covered.mouth is None
    assert np.abs(covered.flow[10]).max() > 5
    some = np.zeros((SIZE, SIZE), bool)
    some[10:14] = True  # glasses
    free = occluders(some, landmarks).spare(everything)
    assert free.mouth is not None
    assert (free.mouth.mask == 1).all()


def test_eyes_behind_something_are_not_drawn():
    hidden = np.zeros((SIZE, SIZE), bool)
    hidden[30:50, 20:40] = True
    eyes = tuple(Eye(np.array(iris), 0.05, np.zeros((2, 9, 2)), 0.8) for iris in ((0.3, 0.4), (0.8, 0.4)))
    assert [eye.trust for eye in occluders(hidden).uncovered(eyes)] == [0, 0.8]


def test_nothing_is_found_before_the_example(editor, crop, landmarks):
    assert editor.occlusion.find(crop, landmarks) is None


@pytest.mark.parametrize("draw", [_glasses, _cloth])
def test_most_glasses_and_masks_are_found_and_stay(editor, crop, landmarks, draw):
    found, target = 0, named_emotion("disgusted").row[None]
    for seed in range(12):
        canvas = Canvas(crop, landmarks, crop[::-1], np.random.default_rng(seed))
        draw(canvas)
        image, mask = (cv2.resize(x, (384, 384), interpolation=cv2.INTER_AREA) for x in (canvas.image, canvas.mask))
        worn, hides = np.rint(image).clip(0, 255).astype(np.uint8), mask > 0.99
        encoded = editor.encode_aligned(worn, np.eye(2, 3) / 4, Affect(0.7, 0.1))
        faces = encoded, replace(encoded, occluders=None)
        stays, bends = (
            np.abs(next(editor.edits(worn, face, target)).astype(int) - worn)[hides].mean() for face in faces
        )
        found += stays < bends / 3
    assert found >= 9
