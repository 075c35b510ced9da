"""The affect estimator: from an aligned crop to valence, arousal and the probabilities of eight expressions.

It estimates how a face looks in a photo, not what a person feels.
"""

from itertools import pairwise

import torch
from torch import nn

from faceedit.config import EstimatorConfig
from faceedit.models.layers import PlainBlock, ResidualBlock, resize

STEM = 3  # layers of an estimator before its blocks: convolution, norm, activation
CROP_SIZE = 128  # pixels of the crops that estimators are given, in training and after; they resize them
EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")  # AffectNet's order


BLOCKS = {"residual": ResidualBlock, "plain": PlainBlock}


class Estimator(nn.Module):
    """images (N, 3, H, W) in [-1, 1], aligned crops of any size → affect (N, 2), expression logits (N, 8).

    affect is valence and arousal; it is not clipped to [-1, 1] here, so that gradients and statistics see all of it.
    """

    def __init__(self, config: EstimatorConfig):
        super().__init__()
        self.config = config
        stem, *_ = config.channels
        block = BLOCKS[config.block]
        layers = [nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU()]
        for fan_in, fan_out in pairwise(config.channels):
            layers += [block(fan_in, fan_out, 2), *(block(fan_out, fan_out, 1) for _ in range(config.blocks - 1))]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(config.channels[-1], 2 + len(EXPRESSIONS))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.read(self.maps(images)[-1])

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The output of the stem and of each block, (N, C, H, W) each."""
        maps = [self.features[:STEM](resize(images, self.config.image_size))]
        for block in self.features[STEM:]:
            maps.append(block(maps[-1]))
        return maps

    def read(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Affect (N, 2) and expression logits (N, 8) from the last of the maps."""
        out = self.head(self.dropout(last.mean((2, 3))))
        return out[:, :2], out[:, 2:]

    @torch.no_grad()
    def rescale(self, scale: torch.Tensor, shift: torch.Tensor) -> None:
        """Multiply affect by scale (2,) and add shift (2,), in the weights of the last layer."""
        self.head.weight[:2] *= scale[:, None]
        self.head.bias[:2] = self.head.bias[:2] * scale + shift
