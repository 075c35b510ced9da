import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from faceedit.errors import WeightsError
from faceedit.faces import mtcnn
from faceedit.faces.mtcnn import Cascade
from faceedit.media.image import read_photo
from tests.conftest import ASTRONAUT


@pytest.fixture(scope="module")
def cascade():
    return Cascade("cpu")


def crowd(sides, size=600, seed=0):
    """A picture (size, size, 3) of noise with the astronaut's face at each of these sides, and the places xy."""
    rng = np.random.default_rng(seed)
    canvas = cv2.GaussianBlur(rng.integers(0, 255, (size, size, 3), np.uint8), (0, 0), 5)
    face, x, y, row = read_photo(ASTRONAUT).pixels[:256, 80:336], 0, 0, 0
    for side in sides:
        if x + side > size:
            x, y, row = 0, y + row, 0
        if y + side > size:
            break
        canvas[y : y + side, x : x + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        x, row = x + side, max(row, side)
    return canvas


@pytest.mark.parametrize("sides", [(), (500,), (80,), (300, 200, 120, 90, 250, 70), (100, 90, 80, 70, 110, 60) * 4])
def test_faces_are_those_of_facenet_pytorch(cascade, sides):
    from facenet_pytorch import MTCNN

    image = crowd(sides)
    mtcnn = MTCNN(keep_all=True, min_face_size=28, select_largest=False)  # the most probable first
    boxes, probabilities, landmarks = mtcnn.detect(image, landmarks=True)
    found = cascade.search(image, 28, 0.0)
    if boxes is None:
        assert not len(found.boxes)
        return
    order = [np.abs(found.boxes - box).sum(1).argmin() for box in boxes.astype(float)]
    assert sorted(order) == list(range(len(found.boxes)))
    found = found.where(np.array(order))
    eyes = np.hypot(*(landmarks[:, 1] - landmarks[:, 0]).T.astype(float))
    np.testing.assert_allclose(found.boxes, boxes.astype(float), atol=0.01)
    np.testing.assert_allclose(found.probabilities, probabilities.astype(float), atol=1e-3)
    assert (np.abs(found.landmarks - landmarks.astype(float)).max((1, 2)) < 0.01 * eyes).all()
    assert len(boxes) >= len(sides) / 2


def same_face(found, other):
    """Whether the largest faces of two searches agree within 1 % of the distance of the eyes."""
    first, second = (faces.landmarks[faces.sides.argmax()] for faces in (found, other))
    return np.abs(first - second).max() < 0.01 * np.hypot(*(first[1] - first[0]))


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_face_of_a_crowd_is_found_without_the_smallest(cascade, seed, monkeypatch):
    image = crowd(np.random.default_rng(seed).integers(50, (120, 250, 400)[seed % 3], 12), 800, seed)
    everything = cascade.search(image, 28, 0.9)
    sizes, propose = [], cascade._proposals
    monkeypatch.setattr(
        cascade, "_proposals", lambda view, size, part: sizes.append((size, part)) or propose(view, size, part)
    )
    assert same_face(everything, cascade.search(image, 28, 0.9, largest=True))
    assert min(sizes)[0] > 28 or everything.sides.max() < 5 * 28


def test_the_detector_imports_no_torchvision():
    code = "import sys; from faceedit.faces.mtcnn import Cascade; Cascade('cpu'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"torchvision", "facenet_pytorch", "torch._dynamo"} & set(loaded)


def test_missing_or_damaged_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(mtcnn, "PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="not installed"):
        Cascade("cpu")
    (tmp_path / "torn" / "data").mkdir(parents=True)
    (tmp_path / "torn" / "__init__.py").touch()
    (tmp_path / "torn" / "data" / "pnet.pt").write_bytes(b"PK")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(mtcnn, "PACKAGE", "torn")
    with pytest.raises(WeightsError, match=r"pnet\.pt is damaged"):
        Cascade("cpu")


def test_pixels_of_a_window_are_pooled_as_the_weights_expect():
    from faceedit.faces.mtcnn import _View

    image = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)
    for x0, y0, x1, y1 in ((0, 0, 70, 50), (3, 7, 12, 40), (69, 49, 70, 50)):
        planes = torch.from_numpy(image[y0:y1, x0:x1]).permute(2, 0, 1).float()
        wanted = (torch.nn.functional.adaptive_avg_pool2d(planes, (24, 24)) - 127.5) / 128
        pooled = _View(image).pooled(np.array([[x0, y0, x1, y1]]), (24, 24))
        np.testing.assert_allclose(pooled[0], wanted.permute(1, 2, 0), atol=1e-5)
