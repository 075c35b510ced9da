"""The four networks of Lindt et al., *Facial Expression Editing with Continuous Emotion Labels* (FG 2019).

Throughout: `images` (N, 3, S, S) in [-1, 1]; `affect` (N, 2) = valence, arousal in [-1, 1]; `z` (N, z_dim) in (-1, 1).
"""

from itertools import pairwise

import torch
from torch import nn

from faceedit.config import CaaeConfig, WarpConfig


def he_init(network: nn.Module) -> None:
    """Initialise every layer so that activations keep their size through the ReLUs (He et al. 2015).

    Nothing here normalises the autoencoder's thirteen layers; with smaller weights no signal reaches the output.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            inputs: float = layer.weight[0].numel()
            if isinstance(layer, nn.ConvTranspose2d):  # of a kernel's taps only 1 in stride² meets an input
                inputs = layer.in_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2
            nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class CenteredBatchNorm(nn.Module):
    """Batch normalisation with a shift and no scale: before a ReLU and a further linear layer, a scale is redundant."""

    def __init__(self, norm: nn.Module, channels: int):
        super().__init__()
        self.norm = norm
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x) + self.bias.view(1, -1, *[1] * (x.ndim - 2))


class Encoder(nn.Module):
    """images → z (the paper's E)."""

    def __init__(self, config: CaaeConfig):
        super().__init__()
        layers = []
        for fan_in, fan_out in pairwise((3, *config.encoder_channels)):
            layers += [nn.Conv2d(fan_in, fan_out, 5, stride=2, padding=2), nn.ReLU()]
        self.convs = nn.Sequential(*layers)  # (N, 3, S, S) → (N, 512, S/16, S/16)
        self.to_z = nn.Linear(config.encoder_channels[-1] * (config.image_size // 16) ** 2, config.z_dim)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.to_z(self.convs(images).flatten(1)))


class Generator(nn.Module):
    """z, affect → images (the paper's G). Each label is repeated z_dim times, so that it weighs as much as z."""

    def __init__(self, config: CaaeConfig):
        super().__init__()
        self.z_dim = config.z_dim
        first, *_ = channels = config.generator_channels
        self.shape = (first, config.image_size // 16, config.image_size // 16)
        self.from_z = nn.Linear(3 * config.z_dim, first * self.shape[1] * self.shape[2])
        layers = []
        for i, (fan_in, fan_out) in enumerate(pairwise(channels)):
            # Four steps that double the size, then one at full size.
            stride, extra = (2, 1) if i < 4 else (1, 0)
            layers += [nn.ConvTranspose2d(fan_in, fan_out, 5, stride, padding=2, output_padding=extra), nn.ReLU()]
        layers += [nn.ConvTranspose2d(channels[-1], 3, 5, padding=2), nn.Tanh()]
        self.convs = nn.Sequential(*layers)

    def forward(self, z: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
        conditioned = torch.cat([z, affect.repeat_interleave(self.z_dim, dim=1)], dim=1)  # (N, 3 · z_dim)
        return self.convs(torch.relu(self.from_z(conditioned)).unflatten(1, self.shape))


class ImageDiscriminator(nn.Module):
    """images, affect → logit that the images are real and show this affect (the paper's D_img).

    After each convolution every label joins as 16 constant maps.
    """

    label_maps = 16

    def __init__(self, config: CaaeConfig):
        super().__init__()
        channels = config.discriminator_channels
        labels = 2 * self.label_maps
        fan_ins = (3, *(c + labels for c in channels[:-1]))
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(fan_in, fan_out, 5, stride=2, padding=2),
                CenteredBatchNorm(nn.BatchNorm2d(fan_out, affine=False), fan_out),
                nn.ReLU(),
            )
            for fan_in, fan_out in zip(fan_ins, channels, strict=True)
        )
        features = (channels[-1] + labels) * (config.image_size // 2 ** len(channels)) ** 2
        self.head = nn.Sequential(
            nn.Linear(features, config.discriminator_hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(config.discriminator_hidden, 1),
        )

    def forward(self, images: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
        x = images
        labels = affect.repeat_interleave(self.label_maps, dim=1)[:, :, None, None]  # (N, 32, 1, 1)
        for conv in self.convs:
            x = conv(x)
            x = torch.cat([x, labels.expand(-1, -1, *x.shape[2:])], dim=1)
        return self.head(x.flatten(1))


class LatentDiscriminator(nn.Module):
    """z → logit that it was drawn from the prior, uniform on (-1, 1) (the paper's D_z)."""

    def __init__(self, config: CaaeConfig | WarpConfig):
        super().__init__()
        layers = []
        for fan_in, fan_out in pairwise((config.z_dim, *config.latent_channels)):
            norm = CenteredBatchNorm(nn.BatchNorm1d(fan_out, affine=False), fan_out)
            layers += [nn.Linear(fan_in, fan_out), norm, nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(config.latent_channels[-1], 1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


class Caae(nn.Module):
    """The two networks an editor needs: encoder and generator."""

    def __init__(self, config: CaaeConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.generator = Generator(config)

    def forward(self, images: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
        return self.generator(self.encoder(images), affect)
