"""The discriminator that the editor learns against: does a photo look real, and show an affect?"""

import torch
from torch import nn

from faceedit.config import WarpConfig


class ImageDiscriminator(nn.Module):
    """A teacher's maps of images, a target (N, T) → logits (N, one for each map) that the images are real and show it
    (the paper's D_img). Targets are those of the editor.

    It sees images as the teacher's last stages do: from pixels it would learn too late what a mouth looks like (a
    projected GAN: Sauer et al. 2021).
    """

    def __init__(self, config: WarpConfig):
        super().__init__()
        self.parts = nn.ModuleList(
            MapDiscriminator(channels, config.discriminator_hidden, config.target_dim)
            for channels in config.discriminator_channels
        )

    def forward(self, maps: list[torch.Tensor], *targets: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """The verdict on the same images at each target, a tuple; a single tensor for a single target."""
        seen = maps[-len(self.parts) :]
        features = []
        for discriminator, x in zip(self.parts, seen, strict=True):
            assert isinstance(discriminator, MapDiscriminator)  # a ModuleList does not say
            features.append(discriminator.features(x))
        verdicts = tuple(
            torch.cat([discriminator(x, target) for discriminator, x in zip(self.parts, features, strict=True)], dim=1)
            for target in targets
        )
        return verdicts if len(verdicts) > 1 else verdicts[0]


class MapDiscriminator(nn.Module):
    """The features of a map, and the logit (N, 1) of features that show a target, which enters by projection
    (Miyato and Koyama 2018)."""

    def __init__(self, fan_in: int, hidden: int, target_dim: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(fan_in, hidden, 3, 1, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(hidden, hidden, 3, 1, 1),
            nn.LeakyReLU(0.2),
        )
        self.to_logit = nn.Conv2d(hidden, 1, 1)
        self.of_target = nn.Sequential(nn.Linear(target_dim, 64), nn.SiLU(), nn.Linear(64, hidden))

    def forward(self, features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        realism, features = self.to_logit(features).mean((2, 3)), features.mean((2, 3))  # a verdict on each place
        return realism + (features * self.of_target(target)).sum(1, keepdim=True)
