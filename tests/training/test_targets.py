import pytest
import torch

from faceedit.circumplex import CLASS_MEANS, Support
from faceedit.data.crops import Crops
from faceedit.training.distributed import Shard
from faceedit.training.targets import AT_PLACE, NAMED, Targets

COUNT = 400


@pytest.fixture
def crops():
    """Faces all over the plane; the first half is surely afraid, of the others nothing is known."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.zeros(COUNT, 8)
    probabilities[: COUNT // 2, 4] = 1
    affect = torch.rand(COUNT, 2, generator=generator) * 1.8 - 0.9
    nothing = torch.zeros(COUNT, 3, 1, 1, dtype=torch.uint8)
    return Crops(nothing, affect, torch.full((COUNT,), -1), probabilities)


def test_some_targets_are_called_by_what_their_photo_shows(crops):
    targets = Targets(crops, Support.from_affect(crops.affect.numpy()), 256, seed=1, balance=0.0)
    sources = torch.arange(256)
    target, own = targets.drawn(0, slice(None), sources, 10, Shard(256).generator(0))
    assert target.shape == own.shape == (256, 10)
    assert torch.equal(own[:, :2], crops.affect[:256])
    named = target[:, 2:].sum(1) > 0
    assert set(target[named].argmax(1).tolist()) == {6}  # the place of fear
    chosen = targets.sampler.indices(0)
    assert torch.equal(named & (chosen >= COUNT // 2), torch.zeros(256, dtype=torch.bool))
    assert named[chosen < COUNT // 2].float().mean() == pytest.approx(NAMED, abs=0.1)
    elsewhere = (target[:, :2] != crops.affect[chosen]).any(1)
    assert elsewhere[named].float().mean() == pytest.approx(AT_PLACE, abs=0.1)
    assert not elsewhere[~named].any()
    assert target[elsewhere, :2].tolist() == [targets.places[4].tolist()] * int(elsewhere.sum())
    assert ((own[:, 2:].sum(1) > 0) <= (sources < COUNT // 2)).all()


def test_names_lie_where_labels_support_them(crops):
    support = Support.from_affect(0.3 * crops.affect.repeat(20, 1).numpy())
    places = Targets(crops, support, 8, seed=1, balance=0.0).places
    assert len(places) == len(CLASS_MEANS)
    assert places.abs().max() < 0.4


def test_networks_that_know_no_expressions_are_asked_for_none(crops):
    targets = Targets(crops, Support.from_affect(crops.affect.numpy()), 8, seed=1, balance=0.0)
    target, own = targets.drawn(3, slice(None), torch.arange(8), 2, Shard(8).generator(0))
    assert torch.equal(target, crops.affect[targets.sampler.indices(3)])
    assert torch.equal(own, crops.affect[:8])
