"""Landmarks are found at once, and those of mouth and eyes again from nearer."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from faceedit.config import LandmarkConfig
from faceedit.faces.alignment import AT_REST, alignment, crop_face, scaled
from faceedit.faces.detector import FaceDetector
from faceedit.faces.eyes import LandmarkFinder
from faceedit.media.image import read_photo
from faceedit.models.face_mesh import LEFT_EYE_REGION, MOUTH_REGION, STILL, TWINS, point_indices
from faceedit.models.landmarker import Landmarker, mirrored
from tests.conftest import ASTRONAUT

EYE, MOUTH = point_indices(LEFT_EYE_REGION), point_indices(MOUTH_REGION)
OTHER_EYE = [TWINS[point] for point in EYE]


@pytest.fixture(scope="module")
def photo():
    pixels = read_photo(ASTRONAUT).pixels
    return pixels, alignment(FaceDetector().detect(pixels)[0].landmarks, 192)


@pytest.fixture(scope="module")
def finder():
    return LandmarkFinder()


def test_regions_are_looked_at_where_landmarks_lie():
    torch.manual_seed(0)
    model = Landmarker(LandmarkConfig()).eval()
    torch.nn.init.zeros_(model.mouth.head.weight)
    torch.nn.init.zeros_(model.mouth.head.bias)
    with torch.inference_mode():
        seen = []
        model.mouth.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        fine = torch.arange(192.0).expand(1, 3, 192, 192).clone() / 96 - 1  # each pixel's column
        landmarks = torch.full((1, len(TWINS), 2), 0.5)
        landmarks[:, MOUTH, 0] = 0.4
        found = model.mouth(fine, landmarks)
    columns = (seen[0][0, 0, 0] + 1) * 96
    torch.testing.assert_close(columns, 0.4 * 192 - 0.5 + torch.arange(96.0) - 47.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(found, landmarks)  # where nothing is found, their middle


def test_each_region_has_its_own_points_and_both_eyes_one_network():
    assert sorted(EYE + MOUTH + OTHER_EYE) == sorted(set(EYE + MOUTH + OTHER_EYE))
    torch.manual_seed(0)
    model = Landmarker(LandmarkConfig()).eval()
    images = torch.rand(2, 3, 192, 192) * 2 - 1
    images[1] = images[0].flip(2)
    coarse = torch.rand(1, len(TWINS), 2) * 0.2 + 0.4
    model.coarse = lambda images: torch.cat([coarse, mirrored(coarse)])
    with torch.inference_mode():
        found, other = model(images)
        other = mirrored(other[None])[0]
    torch.testing.assert_close(found[EYE + OTHER_EYE], other[EYE + OTHER_EYE], atol=1e-4, rtol=0)
    rest = sorted(set(range(len(TWINS))) - set(EYE + MOUTH + OTHER_EYE))
    torch.testing.assert_close(found[rest], coarse[0, rest])
    assert not torch.isclose(found[EYE], coarse[0, EYE]).any(dim=1).all()


def test_landmarks_go_with_the_face(photo, finder):
    """Within a third of a pixel of 96, from crops that are moved, turned and larger."""
    pixels, matrix = photo
    found = []
    for turn, scale, shift in ((0, 1, (0, 0)), (4, 0.95, (3, -2)), (-3, 1.05, (-4, 1))):
        other = cv2.getRotationMatrix2D((95.5, 95.5), turn, scale)
        other[:, 2] += shift
        both = (np.vstack([other, [0, 0, 1]]) @ np.vstack([matrix, [0, 0, 1]]))[:2]
        points = finder.find(crop_face(pixels, both, 192)) * 192 - 0.5
        found.append(cv2.transform(points[None], cv2.invertAffineTransform(other))[0] / 2)
    spread = np.linalg.norm(np.std(found, axis=0), axis=1)
    assert spread[MOUTH].mean() < 0.33
    assert spread[EYE + OTHER_EYE].mean() < 0.33


def test_a_larger_crop_shows_the_same(photo, finder):
    pixels, matrix = photo
    found = finder.find(crop_face(pixels, matrix, 192))
    np.testing.assert_allclose(finder.find(crop_face(pixels, scaled(matrix, 2), 384)), found, atol=0.002)


@pytest.mark.parametrize("wrong", [(1.1, 0, 0, 0), (0.92, 0, 0, 4), (1, 0.04, -0.04, -5)])
def test_a_face_lies_where_faces_lie_on_average_wherever_the_detector_put_it(photo, finder, wrong):
    pixels, _ = photo
    scale, right, down, degrees = wrong
    face = FaceDetector().detect(pixels)[0]
    turn = scale * np.exp(1j * np.radians(degrees))
    points = face.landmarks @ (1, 1j)
    points = (points - points.mean()) * turn + points.mean() + (right + down * 1j) * face.side
    moved = replace(face, landmarks=np.stack([points.real, points.imag], axis=1))
    ours, others = (finder.settled(pixels, x) for x in (face, moved))
    distance = np.linalg.norm(ours.landmarks - others.landmarks, axis=1)
    apart = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
    assert distance.max() < 0.03 * apart < np.linalg.norm(moved.landmarks - face.landmarks, axis=1).max()
    crop = crop_face(pixels, alignment(ours.landmarks, 192), 192)
    np.testing.assert_allclose(finder.find(crop)[point_indices(STILL)].mean(0), AT_REST.mean(0), atol=0.01)
