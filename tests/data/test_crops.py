import pytest
import torch
from PIL import Image

from faceedit.data.crops import BalancedSampler, agreeing, load_crops
from faceedit.errors import UnreadableError


def test_crops_come_with_their_labels_in_the_documented_range(prepared):
    crops = load_crops(prepared / "train", 32)
    assert crops.images.shape == (12, 3, 32, 32)
    images, affect = crops.batch(torch.tensor([0, 11]), "cpu")
    assert images.min() >= -1
    assert images.max() <= 1
    assert affect[0].tolist() == pytest.approx([-0.75, 0.375])


def test_affect_is_a_second_witness_of_an_expression():
    contempt, surely, unknown = torch.zeros(3, 8)
    contempt[[0, 1, 7]] = torch.tensor([0.1, 0.3, 0.6])
    surely[7] = 1.0
    found = agreeing(torch.stack([contempt, contempt, surely, unknown]), torch.tensor([[0.5, 0.0], [-0.5, 0.6]] * 2))
    assert found.sum(1).tolist() == pytest.approx([1, 1, 1, 0])
    assert found.argmax(1).tolist()[:3] == [1, 7, 7]  # a mild smile; contempt; what a person labelled stays
    assert not found[3].any()


def test_a_crop_that_is_not_square_is_refused(prepared):
    Image.new("RGB", (48, 40)).save(prepared / "train" / "3.jpg")
    with pytest.raises(UnreadableError, match="not square"):
        load_crops(prepared / "train", 32)


def test_classes_are_balanced_and_all_crops_are_seen():
    expression = torch.tensor([0] * 40 + [1] * 10 + [5] * 3)
    sampler = BalancedSampler(expression, batch=8, seed=1)
    order = torch.cat([sampler.indices(step) for step in range(sampler.steps_per_epoch)])
    assert len(order) == 120
    counts = torch.bincount(expression[order])
    assert counts[[0, 1, 5]].tolist() == [40, 40, 40]
    assert set(order.tolist()) == set(range(53))


def test_the_order_depends_on_the_seed_and_the_step_alone():
    expression = torch.arange(30) % 3
    sampler, other = (BalancedSampler(expression, batch=4, seed=7) for _ in range(2))
    for step in (0, 1, 9, 3):
        assert torch.equal(sampler.indices(step), other.indices(step))
    assert not torch.equal(sampler.indices(0), sampler.indices(sampler.steps_per_epoch))
    assert not torch.equal(sampler.indices(0), BalancedSampler(expression, 4, seed=8).indices(0))
