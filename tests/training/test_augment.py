import io

import numpy as np
import pytest
import torch
from PIL import Image

from faceedit.training.augment import affinities, augment, jpeg, recrop, replaced, resampled
from faceedit.training.distributed import Shard, World
from tests.conftest import draw_face


@pytest.fixture
def images():
    faces = np.stack([draw_face(64, valence) for valence in np.linspace(-1, 1, 8)])
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_augmented_crops_keep_shape_range_and_face(images):
    changed = augment(images, 48, Shard(8).generator(0))
    assert changed.shape == (8, 3, 48, 48)
    assert changed.abs().max() <= 1
    assert changed.isfinite().all()
    plain = torch.nn.functional.interpolate(images, (48, 48), mode="bilinear", antialias=True)
    assert 0.02 < (changed - plain).abs().mean() < 0.8
    again = augment(images, 48, Shard(8).generator(0))
    assert torch.equal(changed, again)
    assert not torch.equal(changed, augment(images, 48, Shard(8).generator(1)))


def test_every_crop_of_a_batch_teaches(images):
    images.requires_grad_()
    augment(images, 48, Shard(8).generator(0)).square().mean().backward()
    taught = images.grad.abs().mean((1, 2, 3))
    assert taught.min() > 0.05 * taught.max()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_crop_is_augmented_alike_on_any_process(images, count):
    whole = augment(images, 48, Shard(8).generator(0))
    for index in range(count):
        shard = Shard(8, World(index, count))
        torch.testing.assert_close(augment(images[shard.here], 48, shard.generator(0)), whole[shard.here])


def test_landmarks_go_where_a_new_crop_takes_what_they_mark():
    points = torch.tensor([(0.3, 0.4), (0.6, 0.7), (0.5, 0.2)]).expand(8, -1, -1)
    y, x = torch.meshgrid(*[(torch.arange(64) + 0.5) / 64] * 2, indexing="ij")
    theta = affinities(Shard(8).generator(0), 0.3, 0.2, 0.05, 0.1)
    there = replaced(points, theta)
    assert (there - points).norm(dim=2).mean() > 0.02
    for before, after in zip(points.unbind(1), there.unbind(1), strict=True):
        near = (x - before[:, :1, None]) ** 2 + (y - before[:, 1:, None]) ** 2
        blob = resampled(torch.exp(-near / 0.03**2)[:, None].expand(-1, 3, -1, -1), theta, 64)[:, 0]
        mass = blob.sum((1, 2))
        found = torch.stack([(blob * x).sum((1, 2)) / mass, (blob * y).sum((1, 2)) / mass], dim=1)
        torch.testing.assert_close(found, after, atol=0.004, rtol=0)


def test_recropping_stays_within_its_limits(images):
    """A blob in the middle moves by no more than the largest shift."""
    blob = torch.zeros(64, 1, 65, 65)
    blob[:, :, 31:34, 31:34] = 1
    moved = recrop(blob, 65, Shard(64).generator(0))
    places = moved.flatten(2).argmax(2).flatten()
    offsets = torch.stack([places % 65, places // 65], 1).float() - 32
    assert offsets.abs().max() / 65 < 0.12 * 1.3 * 1.5
    assert offsets.std() > 2


def test_jpeg_marks_are_those_of_jpeg(images):
    for quality in (20, 60):
        grey = images.mean(1, keepdim=True).expand_as(images)
        marked = ((jpeg(grey, quality) + 1) * 127.5).round().clamp(0, 255)[0, 0].numpy()
        buffer = io.BytesIO()
        pixels = ((grey[0, 0] + 1) * 127.5).round().byte().numpy()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        real = np.asarray(Image.open(buffer), float)
        assert np.abs(real - pixels).mean() > 0.5
        assert np.abs(real - marked).mean() < 0.35 * np.abs(real - pixels).mean()
