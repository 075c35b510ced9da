"""The networks that find the landmarks of faces in aligned crops.

`images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) = x, y as shares of the crop's side, as floats:
the points of `face_mesh`.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from faceedit.config import LandmarkConfig
from faceedit.models.face_mesh import LEFT_EYE_REGION, MOUTH_REGION, POINTS, TWINS, point_indices
from faceedit.models.layers import PlainBlock, resize
from faceedit.models.sampling import constant, coordinate_grid, indices

MOUTH_PATCH, EYE_PATCH = (80, 96), (64, 80)  # pixels, high and wide, of the fine crop
UNIT = 16  # pixels of the fine crop, in which regions say where points lie


class Region(nn.Module):
    """Finds the points of a mouth, or of an eye with its brow, in a patch of the crop around where they were thought to
    lie, as in *Attention Mesh* (Grishchenko et al. 2020)."""

    def __init__(self, points: tuple[int, ...], patch: tuple[int, int], config: LandmarkConfig):
        super().__init__()
        self.points, self.patch, self.side = tuple(point_indices(points)), patch, config.fine_size
        last = config.region_channels[-1]
        self.features = nn.Sequential(*_stages(config.region_channels))
        high, wide = (-(-side // 2 ** len(config.region_channels)) for side in patch)
        self.head = nn.Linear(last * high * wide, 2 * len(points))

    def forward(self, images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        """The landmarks with these points found anew. images: fine crops."""
        points = indices(self.points, landmarks.device)
        centre = landmarks[:, points].mean(1, keepdim=True)  # (N, 1, 2)
        size = constant((self.patch[1] / self.side, self.patch[0] / self.side), images.device)
        grid = coordinate_grid(*self.patch, images.device) * size + (2 * centre[:, None] - 1)
        seen = functional.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)
        found = self.head(self.features(seen).flatten(1)).float().unflatten(1, (-1, 2))
        return landmarks.index_copy(1, points, centre + found * (UNIT / self.side))


class Landmarker(nn.Module):
    """images → landmarks: all of them at once, and then mouth and eyes again, from nearer."""

    def __init__(self, config: LandmarkConfig):
        super().__init__()
        self.config = config
        narrow = nn.Conv2d(config.channels[-1], config.narrow, 1)
        self.features = nn.Sequential(*_stages(config.channels), narrow, nn.SiLU())
        side = -(-config.image_size // 2 ** len(config.channels))
        self.head = nn.Linear(config.narrow * side * side, 2 * len(POINTS))
        self.mouth = Region(MOUTH_REGION, MOUTH_PATCH, config)
        self.eye = Region(LEFT_EYE_REGION, EYE_PATCH, config)  # the other one mirrored

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        landmarks, fine = self.coarse(images), resize(images, self.config.fine_size)
        both = torch.cat([landmarks, mirrored(landmarks)])
        left, right = self.eye(torch.cat([fine, fine.flip(3)]), both).chunk(2)
        right = mirrored(right)
        others = indices(tuple(TWINS[point] for point in self.eye.points), right.device)
        return self.mouth(fine, left.index_copy(1, others, right[:, others]))

    def coarse(self, images: torch.Tensor) -> torch.Tensor:
        """The landmarks as they are found at once, which takes less time."""
        size = self.config.image_size
        times, rest = divmod(images.shape[-1], size)  # the mean of some pixels takes a tenth of the time
        images = functional.avg_pool2d(images, times) if times and not rest else resize(images, size)
        features = self.features(images)
        return 0.5 + self.head(features.flatten(1)).float().unflatten(1, (-1, 2))


def _stages(channels: tuple[int, ...]) -> list[nn.Module]:
    """The layers of a stem and of stages of these channels, each of which halves the size."""
    stem, *_ = channels
    blocks = (PlainBlock(fan_in, fan_out, 2) for fan_in, fan_out in pairwise(channels))
    return [nn.Conv2d(3, stem, 3, 2, 1, bias=False), nn.BatchNorm2d(stem), nn.SiLU(), *blocks]


def mirrored(landmarks: torch.Tensor) -> torch.Tensor:
    """The landmarks of the mirrored crops."""
    x, y = landmarks[:, indices(TWINS, landmarks.device)].unbind(2)
    return torch.stack([1 - x, y], dim=2)
