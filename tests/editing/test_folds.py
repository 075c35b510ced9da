import numpy as np
import pytest
import torch

from faceedit.circumplex import Affect
from faceedit.device import as_images
from faceedit.editing.folds import FOLDS, Folding
from faceedit.models.editor import Edit
from faceedit.models.folds import detail, shown_to_network, skin
from faceedit.weights import load_weights
from tests.conftest import draw_face

SOURCE = Affect(0.7, 0.1)
SIZE = 128


@pytest.fixture(scope="module")
def folding():
    return Folding()


@pytest.fixture(scope="module")
def landmarks():
    """Those of the mean face, (K, 2)."""
    return load_weights("warp-96").model.decoder.motion.mean.numpy()


def shaded(folding, face, landmarks, *targets):
    """What is added to a face that does not move, at each target, (N, 3, SIZE, SIZE)."""
    count, nothing = len(targets), torch.zeros(0)
    points = torch.from_numpy(landmarks)[None].expand(count, -1, -1)
    still = Edit(torch.zeros(count, 2, 96, 96), torch.zeros(count, 3, 24, 24), nothing, nothing, points)
    added = folding.shading(face, still, torch.from_numpy(np.stack([Affect(*target).row for target in targets])))
    return torch.nn.functional.interpolate(added, (SIZE, SIZE), mode="area")


def test_skin_folds_with_the_way_and_not_at_the_source(folding, landmarks):
    face = folding.encode(draw_face(384), landmarks, SOURCE)
    there, near, far = shaded(folding, face, landmarks, SOURCE.pair, (0.65, 0.1), (-0.6, -0.2)).abs().mean((1, 2, 3))
    assert there == 0
    assert 0 < near < far
    assert far > 0.0015


def test_eyes_brows_and_mouths_are_left_alone(folding, landmarks):
    face = folding.encode(draw_face(384), landmarks, SOURCE)
    added = shaded(folding, face, landmarks, (-0.6, -0.2)).abs().amax(1)[0]
    seen = skin(torch.from_numpy(landmarks)[None], SIZE, FOLDS.beside_lips)[0, 0]
    assert added[seen < 0.005].max() < 0.1 * added.max()


def test_a_face_loses_the_folds_that_it_has(folding, landmarks):
    """Whose skin shows what others show there has more to lose than one whose skin shows nothing."""
    smooth = folding.encode(np.full((384, 384, 3), (200, 160, 140), np.uint8), landmarks, SOURCE)
    detail = torch.nn.functional.interpolate(smooth.folds, (384, 384), mode="bicubic")[0, 0]
    folded = (np.full((384, 384, 3), (200, 160, 140)) * detail.exp().numpy()[..., None] ** 3).clip(0, 255)
    faces = folded.astype(np.uint8), np.full((384, 384, 3), 150, np.uint8)
    lost = [folding.encode(face, landmarks, SOURCE).folds.abs().mean() for face in faces]
    assert lost[0] > 1.3 * lost[1]


def test_a_fold_is_not_drawn_again_for_its_shadow(folding, landmarks):
    """The network would know a fold by its broad shadow, if it saw all that is coarser than `detail`."""
    plain = np.full((SIZE, SIZE, 3), (200, 160, 140), np.float32)
    down, across = np.mgrid[:SIZE, :SIZE]
    fold = np.exp(-(((across - 36) / 2.5) ** 2) / 2) * ((down > 66) & (down < 92))
    images = as_images(np.stack([plain, plain * np.exp(-0.4 * fold)[..., None]]).astype(np.uint8), "cpu")
    calm = torch.from_numpy(Affect(-0.1, 0).row[None]).expand(2, -1)
    shown, _ = folding._shown(shown_to_network(images), torch.from_numpy(landmarks)[None].expand(2, -1, -1), calm, 1.0)
    before, again = (x.diff(dim=0)[0, 0, fold > 0.5].mean() for x in (detail(images), shown))
    assert before < -0.1
    assert again > 0.3 * before


def test_what_is_a_faces_own_fades_where_faces_differ_less_at_the_target(folding, landmarks, monkeypatch):
    """A crease that a smile alone makes goes with the smile, though the average face has none there."""
    face = draw_face(384)
    face = face.copy()
    face[250:254, 240:280] //= 2

    def differing(there):
        def shown(images, *_):
            alike = torch.full((len(images), 1, *images.shape[2:]), there if len(images) == 2 else -3.0)
            return torch.zeros_like(alike), alike

        monkeypatch.setattr(folding, "_shown", shown)
        skin_ = folding.encode(face, landmarks, SOURCE)
        return shaded(folding, skin_, landmarks, (-0.6, -0.2), (-0.5, 0.4))[0].mean(0)

    added = differing(-5.0)[83:85, 80:94].mean()
    assert added > 0.1  # lighter
    assert differing(-3.0).abs().max() == 0
    assert differing(-1.0).abs().max() == 0  # nothing is made plainer


def test_a_fold_that_goes_takes_its_colour_along(folding, landmarks, monkeypatch):
    face = np.full((384, 384, 3), (200, 160, 140), np.uint8)
    face[250:254, 240:280] = (150, 80, 60)

    def shown(images, *_):
        alike = torch.full((len(images), 1, *images.shape[2:]), -6.0 if len(images) == 2 else -3.0)
        return torch.zeros_like(alike), alike

    monkeypatch.setattr(folding, "_shown", shown)
    skin_ = folding.encode(face, landmarks, SOURCE)
    added = shaded(folding, skin_, landmarks, (-0.6, -0.2), (-0.5, 0.4))[0]

    def redness(image):
        red, green, _ = (image[:, 83:85, 82:92].mean((1, 2)) + 1) / 2
        return float((red / green).log())

    plain = float(np.log(200 / 160))
    before, after = redness(skin_.images[0]), redness(skin_.images[0] + added)
    assert abs(after - plain) < 0.7 * abs(before - plain)


def test_a_smile_takes_its_folds_along(folding, landmarks, monkeypatch):
    """Where faces differ a little less at the target, a crease of a face's own nearly goes, thin as it is, with the
    smile, and stays where a face gets no less happy."""
    face = np.full((384, 384, 3), (200, 160, 140), np.uint8)
    face[240:270, 260:264] //= 2
    calm, happy = Affect(-0.6, -0.2), Affect(0.7, 0.1)

    def darkness(source, target):
        def shown(images, *_):
            alike = torch.full((len(images), 1, *images.shape[2:]), -3.2 if len(images) == 2 else -3.0)
            return torch.zeros_like(alike), alike

        monkeypatch.setattr(folding, "_shown", shown)
        points = torch.from_numpy(landmarks)[None].expand(2, -1, -1)
        still = Edit(torch.zeros(2, 2, 96, 96), torch.zeros(2, 3, 24, 24), torch.zeros(0), torch.zeros(0), points)
        targets = torch.from_numpy(np.stack([target.row, target.row]))
        added = folding.shading(folding.encode(face, landmarks, source), still, targets)[0]
        seen = as_images(face[None], "cpu")[0] + added
        return float(seen[:, 245:265, 250].mean() - seen[:, 245:265, 261:263].mean())

    before = (200 + 160 + 140) / 3 / 127.5 / 2
    assert darkness(happy, calm) < 0.4 * before
    assert darkness(calm, happy) > 0.7 * before


def test_the_light_that_comes_back_to_a_fold_is_paler_than_its_shadow(folding, landmarks, monkeypatch):
    """Shadows of skin are redder than it is: were they only multiplied, they would glow."""
    face = np.full((384, 384, 3), (150, 80, 60), np.uint8)

    def shown(images, *_):
        light = torch.full((len(images), 1, *images.shape[2:]), 0.3 if len(images) == 2 else 0.0)
        return light, torch.full_like(light, -3.0)

    monkeypatch.setattr(folding, "_shown", shown)
    added = shaded(folding, folding.encode(face, landmarks, SOURCE), landmarks, (-0.6, -0.2), (-0.5, 0.4))[0]
    red, green, _ = added[:, 80, 90]
    assert green > 0
    assert 1 < red / green < 0.85 * 150 / 80
