import pytest
import torch

from faceedit.face import TEMPLATE, FaceDetector, alignment, crop_face
from faceedit.image import read_photo
from faceedit.model.landmarks import IRISES, LIPS, LOWER_LIP, POINTS, STILL, UPPER_LIP, mirrored, places
from faceedit.train.geometry import Geometry, between_lips, opening
from faceedit.weights import load_weights
from tests.conftest import ASTRONAUT


@pytest.fixture(scope="module")
def mean():
    """Landmarks of no face, but symmetrical; the lips lie at y 0.7 and 0.74, corners at x 0.35 and 0.65."""
    landmarks = torch.rand(1, len(POINTS), 2, generator=torch.Generator().manual_seed(0))
    landmarks = (landmarks + mirrored(landmarks)) / 2
    for lip, y in ((UPPER_LIP, 0.70), (LOWER_LIP, 0.74)):
        landmarks[0, places(lip)] = torch.stack([torch.linspace(0.35, 0.65, 11), torch.full((11,), y)], dim=1)
    return landmarks[0]


@pytest.fixture(scope="module")
def geometry(mean):
    """A thousand faces, each turned and moved, whose lips are farther apart the higher their arousal."""
    draws = torch.Generator().manual_seed(1)
    affect = torch.rand(1000, 2, generator=draws) - 0.5
    faces = mean.expand(1000, -1, -1).clone()
    lower = [place for place in places(LOWER_LIP) if place not in places(UPPER_LIP)]
    faces[:, lower, 1] += 0.08 * affect[:, 1:]
    turn = (0.1j * (torch.rand(1000, 1, generator=draws) - 0.5)).exp()
    faces = torch.view_as_real(torch.view_as_complex(faces - 0.5) * turn) + 0.5
    return Geometry(faces, affect, "cpu"), affect, turn


def test_mirrored_twice_is_the_same(mean):
    landmarks = torch.rand(2, len(POINTS), 2)
    torch.testing.assert_close(mirrored(mirrored(landmarks)), landmarks)
    assert not torch.equal(mirrored(landmarks)[..., 1], landmarks[..., 1])
    torch.testing.assert_close(mirrored(mean[None])[0], mean)


@pytest.mark.parametrize("mirror", [False, True])
def test_landmarks_move_as_affect_moves_them_in_the_photos(geometry, mirror):
    moves, affect, turn = geometry
    chosen = torch.arange(4)
    target = torch.tensor([[0.2, 0.4]]).expand(4, -1)
    before, after = moves.moved(chosen, torch.full((4,), mirror), affect[chosen], target)
    turned = turn[chosen].conj() if mirror else turn[chosen]
    way = torch.view_as_complex(after - before) / turned
    torch.testing.assert_close(way.abs()[:, places(STILL)], torch.zeros(4, len(STILL)), atol=2e-3, rtol=0)
    middle = places((14,))[0]
    torch.testing.assert_close(way[:, middle].imag, 0.08 * (target - affect[chosen])[:, 1], atol=2e-3, rtol=0)


def test_lips_close_and_do_not_cross(geometry):
    moves, affect, _ = geometry
    chosen = affect[:, 1].argsort()[-4:]  # open mouths
    before, after = moves.moved(chosen, torch.zeros(4, dtype=torch.bool), affect[chosen], affect[chosen] - 2.0)
    assert (opening(before) > 0.05).all()
    torch.testing.assert_close(opening(after), torch.zeros(4))


def test_what_lies_between_the_lips(mean):
    inside = between_lips(mean[None], 100)[0]
    assert inside.sum() == pytest.approx(30 * 4, rel=0.1)
    assert inside[72, 50] == 1
    assert inside[:69].sum() + inside[76:].sum() + inside[:, :34].sum() + inside[:, 66:].sum() == 0


def test_the_published_network_finds_the_landmarks_of_a_photo():
    photo = read_photo(ASTRONAUT).pixels
    face = FaceDetector().detect(photo)[0]
    crop = crop_face(photo, alignment(face.landmarks, 96), 96)
    image = torch.from_numpy(crop).permute(2, 0, 1)[None] / 127.5 - 1
    model = load_weights("landmarks", kinds=("landmarks",)).model
    found, flipped = model(image)[0], mirrored(model(image.flip(3)))[0]
    eyes = torch.tensor(TEMPLATE[:2], dtype=torch.float32)
    assert (found[places(IRISES)] - eyes).norm(dim=1).max() < 0.03
    assert (found - flipped).norm(dim=1).mean() < 0.02
    mouth = found[places(LIPS)]
    torch.testing.assert_close(mouth.mean(0), torch.tensor([0.5, 0.7]), atol=0.04, rtol=0)
    assert opening(found[None]) > 0.03  # she smiles
