import json
import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from faceedit.circumplex import CLASS_MEANS, EMOTIONS, Support, affect_grid, grid_axis
from faceedit.evaluation.controls import CopyEditor, DrawnEditor, SwapEditor
from faceedit.evaluation.evaluate import choose_labels, evaluate
from faceedit.evaluation.figures import summarise
from faceedit.faces.alignment import alignment, crop_face, paste_back
from faceedit.faces.estimate import AffectEstimator
from faceedit.models.estimator import CROP_SIZE
from faceedit.weights import load_weights
from tests.conftest import FakeDetector, draw_face, face_at

TARGETS = affect_grid(grid_axis())
SUPPORT = Support.from_affect(np.repeat(TARGETS[np.abs(TARGETS).max(1) < 0.6], 20, axis=0))


class ColourJudge(AffectEstimator):
    """Reads valence off the red and arousal off the blue of a patch of the forehead, as PaintEditor paints them."""

    def __init__(self):
        pass

    def estimate_crops(self, crops):
        patch = crops[:, 20:30, 50:78].mean((1, 2))
        affect = (patch[:, [0, 2]] - 128) / 100
        apart = affect[:, None] - np.array([EMOTIONS[name].pair for name in CLASS_MEANS])
        return affect, np.exp(-(apart**2).sum(2))


class PaintEditor(CopyEditor):
    """Reaches every target in the judge's eyes."""

    blur = 0
    order = np.arange(len(TARGETS))

    def edits(self, image, encoded, targets):
        for valence, arousal, *_ in targets[self.order] if len(targets) == len(TARGETS) else targets:
            edited = cv2.GaussianBlur(image, (0, 0), self.blur) if self.blur else image.copy()
            inverse = cv2.invertAffineTransform(encoded.matrix)
            x0, y0 = (inverse @ (48, 18, 1)).astype(int)
            x1, y1 = (inverse @ (80, 32, 1)).astype(int)
            edited[y0:y1, x0:x1] = (128 + 100 * valence, 128, 128 + 100 * arousal)
            yield edited


@pytest.fixture
def photos(tmp_path):
    """Six drawn photos of 200 pixels, all with the face at the same place, and their labels in two groups."""
    rows = ["file,valence,arousal,split,group,p_happy"]
    for i in range(6):
        photo = np.full((200, 200, 3), 100 + 5 * i, np.uint8)
        photo[20:180, 20:180] = draw_face(160, i / 6, tint=16 * i)
        Image.fromarray(photo).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i / 6:.2f},0,validation,{'ab'[i % 2]},0.5")
    rows.append("none.png,0,0,train,a,0.5")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


class PixelEmbedder:
    """Tells faces apart by how they look, small."""

    def embed(self, images, face):
        matrix = alignment(face.landmarks, 16)
        vectors = np.stack([crop_face(image, matrix, 16).ravel().astype(np.float32) for image in images])
        return torch.nn.functional.normalize(torch.from_numpy(vectors - vectors.mean(1, keepdims=True)))


def keys(figures) -> list[str]:
    """All keys of what JSON holds, at any depth."""
    inner = [name for value in figures.values() if isinstance(value, dict) for name in keys(value)]
    return [*figures, *inner]


@pytest.fixture
def run(photos, monkeypatch):
    monkeypatch.setattr("faceedit.evaluation.figures.GROUP_FACES", 3)
    monkeypatch.setattr("faceedit.evaluation.metrics.RESAMPLES", 30)
    labels, _, folder = choose_labels(photos, 6, seed=1)
    detector = FakeDetector([face_at(20, 20, 160)])
    return lambda editor: evaluate(labels, folder, editor, ColourJudge(), detector, PixelEmbedder(), SUPPORT)


def test_the_copy_keeps_everything_and_reaches_nothing(run):
    figures, subjects = run(CopyEditor(ColourJudge()))
    assert figures["faces"] == len(subjects) == 6
    for axis in ("valence", "arousal"):
        assert figures["affect"]["all"][axis]["slope"][0] == pytest.approx(0, abs=1e-6)
    assert figures["identity"]["mean"][0] == pytest.approx(1, abs=1e-4)
    assert figures["change_of_255"][0] == figures["change_outside"] == 0
    assert figures["recognised"][0] == pytest.approx(1 / 6)
    assert figures["psnr_at_source"][0] == 99
    assert figures["ssim_at_source"][0] == pytest.approx(1)
    assert figures["sharpness"]["median"][0] == pytest.approx(1)
    assert [key for key in keys(json.loads(json.dumps(figures))) if not re.fullmatch("[a-z][a-z0-9_]*", key)] == []


class Draughtsman(CopyEditor):
    """Has drawings: at each target, the crop in another light."""

    def __init__(self):
        super().__init__(ColourJudge())

    def drawings(self, encoded, targets):
        return np.stack([cv2.add(encoded.crop, np.full(4, 40.0 * target[0])) for target in targets])


def test_drawings_are_measured_as_they_are(run):
    figures, subjects = run(DrawnEditor(Draughtsman()))
    for subject in subjects:
        brightness = subject.cells.mean((1, 2, 3)).reshape(7, 7)
        # Each cell is the drawing up to its border, which no photo shines through.
        assert (brightness[0, 1:] - brightness[0, :-1]).tolist() == pytest.approx(6 * [10], abs=1.5)
    assert figures["psnr_of_best_cell"][0] > 40
    assert figures["change_of_255"][0] == pytest.approx(40 * 2 * (0.25 + 0.5) / 5, abs=1)


def test_each_measure_moves_when_it_should(run):
    painted, subjects = run(PaintEditor(ColourJudge()))
    for axis in ("valence", "arousal"):
        low, high = painted["affect"]["supported"][axis]["ccc"][1:]
        assert low > 0.98
        assert high <= 1
    assert painted["change_of_255"][0] > 1
    assert painted["emotions"] == {name: {name: 1.0} for name in CLASS_MEANS}
    assert painted["recognised"][0] == 1
    assert painted["change_outside"] == 0
    assert painted["supported_cells"] == 25
    assert set(painted["groups"]) == {"group"}
    assert painted["groups"]["group"]["rows"]["a"]["faces"] == 3

    shuffled = PaintEditor(ColourJudge())
    shuffled.order = np.random.default_rng(0).permutation(len(TARGETS))
    assert run(shuffled)[0]["affect"]["all"]["valence"]["ccc"][0] < 0.5

    blurred = PaintEditor(ColourJudge())
    blurred.blur = 2
    figures = run(blurred)[0]
    assert figures["sharpness"]["median"][0] < 0.5 * painted["sharpness"]["median"][0]
    assert figures["psnr_at_source"][0] < 40
    assert figures["change_outside"] > 0

    for subject in subjects:  # one face whose edits all fail pulls the mean, and its group, down
        subject.estimates = subject.estimates.copy()
    subjects[0].estimates[:] = 0
    supported = np.array([SUPPORT.covers(*target) for target in TARGETS.tolist()])
    worse = summarise(subjects, TARGETS, supported)
    assert worse["affect"]["all"]["valence"]["ccc"][0] < painted["affect"]["all"]["valence"]["ccc"][0]
    assert worse["groups"]["group"]["worst"]["valence_ccc"] == subjects[0].label.extra["group"]


def test_the_swap_puts_another_face_there(run, photos):
    _, pool, folder = choose_labels(photos, 6, seed=1)
    assert all(label.split == "validation" for label in pool)
    detector = FakeDetector([face_at(20, 20, 160)])
    figures, _ = run(SwapEditor(ColourJudge(), pool, folder, detector, seed=0))
    copied, _ = run(CopyEditor(ColourJudge()))
    assert figures["identity"]["mean"][0] < copied["identity"]["mean"][0] - 1e-3
    assert figures["change_of_255"][0] > 1
    assert figures["change_outside"] == 0


def test_a_pasted_crop_replaces_the_middle_and_fades_out():
    photo = np.full((200, 200, 3), 100, np.uint8)
    crop = np.full((CROP_SIZE, CROP_SIZE, 3), 200, np.uint8)
    pasted = paste_back(photo, alignment(face_at(40, 40, 120).landmarks, CROP_SIZE), crop)
    assert pasted[100, 100].tolist() == [200] * 3
    assert (pasted[:39] == 100).all()
    assert np.abs(np.diff(pasted[100, :, 0].astype(int))).max() < 15


def test_faces_are_chosen_by_the_seed(photos):
    first, again, other = (choose_labels(photos, 5, seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len(first) == 5


def test_the_estimator_gives_each_face_its_estimate(tiny_judge):
    estimator = AffectEstimator(load_weights(str(tiny_judge)))
    image = np.full((200, 320, 3), 128, np.uint8)
    image[20:180, 10:170] = draw_face(160)
    image[60:140, 220:300] = draw_face(80, -1, tint=60)
    faces = [face_at(10, 20, 160), face_at(220, 60, 80)]
    both = estimator.estimate(image, faces)
    assert [estimate.face for estimate in both] == faces
    assert both[0].affect != both[1].affect
    assert sum(both[0].probabilities.values()) == pytest.approx(1, abs=1e-5)
    (alone,) = estimator.estimate(image, faces[1:])
    assert alone.affect.valence == pytest.approx(both[1].affect.valence, abs=1e-5)
    assert estimator.estimate(image, []) == []
