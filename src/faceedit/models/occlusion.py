"""The network that finds what lies before a face: glasses, hands, microphones, masks. An edit leaves it alone."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from faceedit.config import OcclusionConfig
from faceedit.models.layers import FilmBlock
from faceedit.models.sampling import coordinate_grid, enlarged


class OcclusionNetwork(nn.Module):
    """Aligned crops (N, 3, S, S) in [-1, 1] → the logit of each pixel's being no part of the face, (N, 1, S, S).

    A U-Net (Ronneberger et al. 2015) that is told where in the crop it looks.
    """

    def __init__(self, config: OcclusionConfig):
        super().__init__()
        self.config = config
        widths = config.channels
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(3 + 2, widths[0], 4, 2, 1)
        self.encode = nn.ModuleList(FilmBlock(fan_in, fan_out, 2) for fan_in, fan_out in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(fan_out, fan_in, 1) for fan_in, fan_out in reversed(pairs))
        self.decode = nn.ModuleList(FilmBlock(fan_in, fan_in) for fan_in, _ in reversed(pairs))
        self.to_logits = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        height, width = images.shape[2:]
        where = coordinate_grid(height, width, images.device).to(images).permute(2, 0, 1)
        x = functional.silu(self.stem(torch.cat([images, where.expand(len(images), -1, -1, -1)], dim=1)))
        skips = []
        for block in self.encode:
            skips.append(x)
            x = block(x)
        for skip, narrow, decode in zip(reversed(skips), self.narrow, self.decode, strict=True):
            x = decode(skip + enlarged(narrow(x)))
        return functional.pixel_shuffle(self.to_logits(x), 2).float()
