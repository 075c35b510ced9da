import pytest
import torch

from faceedit.config import CaaeConfig
from faceedit.models.caae import Caae, Encoder, Generator, ImageDiscriminator, LatentDiscriminator
from tests.conftest import TINY


def count(network, statistics=False):
    numbers = sum(parameter.numel() for parameter in network.parameters())
    if statistics:
        numbers += sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)
    return numbers


def test_networks_have_the_papers_sizes():
    config = CaaeConfig()
    assert count(Encoder(config)) == 5_228_210
    assert count(Generator(config)) == 23_029_059
    assert round(count(ImageDiscriminator(config)) / 1e6, 2) == 6.35
    assert count(LatentDiscriminator(config), statistics=True) == 6_225


@pytest.mark.parametrize("size", [32, 96])
def test_shapes_and_ranges(size):
    config = CaaeConfig(image_size=size)
    images, affect = torch.rand(2, 3, size, size) * 2 - 1, torch.rand(2, 2) * 2 - 1
    z = Encoder(config)(images)
    assert z.shape == (2, 50)
    assert z.abs().max() <= 1
    decoded = Generator(config)(z, affect)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1
    assert ImageDiscriminator(config)(images, affect).shape == (2, 1)
    assert LatentDiscriminator(config)(z).shape == (2, 1)


def test_every_network_looks_at_all_it_is_given():
    torch.manual_seed(0)  # of networks as small as these, one in eight is deaf where all its units are off
    config = TINY
    images = torch.rand(4, 3, 32, 32)
    affect = torch.zeros(4, 2)
    for network in (Caae(config), ImageDiscriminator(config)):
        network.eval()
        before = network(images, affect)
        assert not torch.equal(before, network(images, affect + torch.tensor([0.5, 0])))
        assert not torch.equal(before, network(images, affect + torch.tensor([0, 0.5])))
        assert not torch.equal(before, network(images.flip(3), affect))
