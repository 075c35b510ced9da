"""The network that finds the landmarks of faces in aligned crops.

`images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) = x, y as shares of the crop's side, as floats:
the points of `face_mesh`.
"""

from itertools import pairwise

import torch
from torch import nn

from faceedit.config import LandmarkConfig
from faceedit.models.face_mesh import POINTS, TWINS
from faceedit.models.layers import PlainBlock, resize
from faceedit.models.sampling import indices


class Landmarker(nn.Module):
    """images → landmarks."""

    def __init__(self, config: LandmarkConfig):
        super().__init__()
        self.config = config
        stem, *_ = config.channels
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.SiLU()]
        for fan_in, fan_out in pairwise(config.channels):
            layers.append(PlainBlock(fan_in, fan_out, 2))
        self.features = nn.Sequential(*layers, nn.Conv2d(config.channels[-1], config.narrow, 1), nn.SiLU())
        side = -(-config.image_size // 2 ** len(config.channels))
        self.head = nn.Linear(config.narrow * side * side, 2 * len(POINTS))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.features(resize(images, self.config.image_size))
        return 0.5 + self.head(features.flatten(1)).float().unflatten(1, (-1, 2))


def mirrored(landmarks: torch.Tensor) -> torch.Tensor:
    """The landmarks of the mirrored crops."""
    x, y = landmarks[:, indices(TWINS, landmarks.device)].unbind(2)
    return torch.stack([1 - x, y], dim=2)
