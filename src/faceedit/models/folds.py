"""The network of folds: which detail of light and shade the skin of a face shows with an expression, on average.

Throughout: `images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds
them; `affect` (N, 2) = valence, arousal; `condition` (N, CONDITION), see `describe`. Light is the logarithm of a
luminance from 0 to 1, a little above 0: folds shade dark and light skin by the same shares (ratio images: Liu, Shan and
Zhang, SIGGRAPH 2001).
"""

import torch
from torch import nn
from torch.nn import functional

from faceedit.circumplex import CLASS_MEANS
from faceedit.config import FoldConfig
from faceedit.models.face_mesh import (
    BROWS,
    CHEEKS,
    EYE_CORNERS,
    IRISES,
    LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    NOSE,
    OUTLINE,
    POINTS,
    UPPER_LIDS,
    UPPER_LIP,
    point_indices,
)
from faceedit.models.jaw import JAW
from faceedit.models.layers import ModulatedBlock
from faceedit.models.sampling import constant, coordinate_grid, enlarged, pixel_centres, smoothed

CONDITION = 2 + len(CLASS_MEANS) + 2
TYPICAL_BLUR = 0.8  # pixels at a side of 128: between the sharpest photos and the softest
COARSE = 5 / 128  # standard deviation of a Gaussian, of the side: what is finer is detail, folds and all
# Likewise: the network sees nothing finer. Folds throw broad shadows, and from that of a fold that is to go it would
# draw the fold again.
UNSEEN = 12 / 128
LUMINANCE = (0.299, 0.587, 0.114)
LOG_SPREAD, SPREAD_LIMITS = -3.5, (-7.0, 0.0)  # natural logarithms: where training starts, and what is believed
MIN_LIGHT = 0.05  # keeps the logarithm of black within bounds
IRIS_BLOB, IRIS_SIGMA = 2, 0.014  # which of BLOBS; as below
BLOB_SIGMA = 0.02  # standard deviation of a landmark's blob, of the side
MAX_OVERLAP = 1.5  # of blobs
BLOBS = tuple(
    tuple(point_indices(numbers))
    for numbers in (
        BROWS,
        UPPER_LIDS + LOWER_LIDS + EYE_CORNERS,
        IRISES,
        NOSE,
        LIPS,
        UPPER_LIP + LOWER_LIP,
        OUTLINE,
        CHEEKS,
    )
)
NOSTRILS = (98, 327, 2, 1, 4)
# What moves and does not fold.
NO_SKIN = tuple(
    tuple(point_indices(numbers))
    for numbers in (UPPER_LIDS + LOWER_LIDS + EYE_CORNERS + IRISES, UPPER_LIP + LOWER_LIP, BROWS, NOSTRILS)
)
BESIDE = 0.03  # of the side: so far around these nothing is folded, and so far within a face's outline it comes to be


def describe(affect: torch.Tensor, expressions: torch.Tensor, blur: torch.Tensor) -> torch.Tensor:
    """The condition (N, CONDITION) under which skin folds.

    expressions: (N, 8) probabilities; all zeros where any expression will do. blur: (N,), how soft the photo is, the
    standard deviation of a Gaussian in pixels of a crop of 128.
    """
    unknown = (expressions.sum(1, keepdim=True) == 0).to(affect)  # said by a number of its own
    return torch.cat([affect, expressions, unknown, (blur - TYPICAL_BLUR)[:, None].to(affect)], dim=1)


def coarse(images: torch.Tensor, sigma: float = COARSE) -> torch.Tensor:
    """The images without their detail, of the same shape; sigma: of a Gaussian, of the side."""
    return smoothed(images, sigma * images.shape[-1])


def shown_to_network(images: torch.Tensor) -> torch.Tensor:
    """What the network sees of images, of the same shape."""
    return coarse(images, UNSEEN)


def detail(images: torch.Tensor) -> torch.Tensor:
    """The light of images less the same without detail, (N, 1, S, S)."""
    weights = constant(LUMINANCE, images.device).view(1, 3, 1, 1)
    return _detail(((images + 1) / 2 * weights).sum(1, keepdim=True))


def tint(images: torch.Tensor) -> torch.Tensor:
    """How far the detail of red, green and blue departs from that of their light, (N, 3, S, S)."""
    return _detail((images + 1) / 2) - detail(images)


def skin(landmarks: torch.Tensor, size: int, beside_lips: float = BESIDE) -> torch.Tensor:
    """From 0 in eyes, mouths, brows and nostrils, and beside a face, to 1 away from them, (N, 1, S, S)."""
    reach = (BESIDE, beside_lips, BESIDE, BESIDE)
    blobs = [
        _blobs(landmarks[:, list(points)], size, sigma).clamp(max=1)
        for points, sigma in zip(NO_SKIN, reach, strict=True)
    ]
    inside = (_within(landmarks[:, list(JAW)], size) / BESIDE).clamp(0, 1)
    return (torch.stack([1 - blob for blob in blobs]).prod(0) * inside)[:, None]


def irises(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """1 in irises, and 0 away from them, (N, 1, S, S)."""
    return _blobs(landmarks[:, list(BLOBS[IRIS_BLOB])], size, IRIS_SIGMA).clamp(max=1)[:, None]


def _detail(luminance: torch.Tensor) -> torch.Tensor:
    light = (luminance.clamp(min=0) + MIN_LIGHT).log()
    return light - coarse(light)


class FoldNetwork(nn.Module):
    """images as `shown_to_network`, landmarks, condition → the detail that such skin shows on average, and the natural
    logarithm of how far a face's own departs from it (the scale of a Laplace distribution), (N, 1, S, S) each.

    A U-Net at a half, a quarter and an eighth of the side S.
    """

    def __init__(self, config: FoldConfig):
        super().__init__()
        self.config = config
        (first, second, third), hidden = config.channels, config.condition_dim
        self.condition = nn.Sequential(
            nn.Linear(CONDITION + 2 * len(POINTS), hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.from_landmarks = nn.Conv2d(len(BLOBS), first, 3, padding=1)
        self.to_quarter = nn.Conv2d(first, second, 2, 2)
        self.from_images = nn.Conv2d(3 + 2, second, 3, padding=1)
        self.quarter = ModulatedBlock(second, hidden)
        self.to_eighth = nn.Conv2d(second, third, 2, 2)
        self.bottom = nn.ModuleList(ModulatedBlock(third, hidden) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ((third, second), (second, first)))
        self.decode = nn.ModuleList(ModulatedBlock(channels, hidden) for channels in (second, first))
        self.to_detail = nn.Conv2d(first, 2 * 4, 3, padding=1)
        assert self.to_detail.bias is not None
        nn.init.normal_(self.to_detail.weight, std=1e-3)  # training starts from nearly no detail
        nn.init.constant_(self.to_detail.bias[4:], LOG_SPREAD)

    def forward(
        self, images: torch.Tensor, landmarks: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        condition = self.condition(torch.cat([condition, 2 * landmarks.flatten(1) - 1], dim=1))
        half, quarter = images.shape[-1] // 2, images.shape[-1] // 4
        blobs = [_blobs(landmarks[:, list(points)], half, BLOB_SIGMA).clamp(max=MAX_OVERLAP) for points in BLOBS]
        fine = self.from_landmarks(torch.stack(blobs, dim=1).to(images))
        small = functional.interpolate(images, (quarter, quarter), mode="area")
        where = coordinate_grid(quarter, quarter, images.device).to(images).permute(2, 0, 1)
        where = where.expand(len(images), -1, -1, -1)
        x = self.quarter(self.from_images(torch.cat([small, where], dim=1)) + self.to_quarter(fine), condition)
        deep = self.to_eighth(x)
        for block in self.bottom:
            deep = block(deep, condition)
        for skip, narrow, decode in zip((x, fine), self.narrow, self.decode, strict=True):
            deep = decode(skip + enlarged(narrow(deep)), condition)
        shown, spread = functional.pixel_shuffle(self.to_detail(functional.silu(deep)), 2).float().chunk(2, dim=1)
        return shown, spread.clamp(*SPREAD_LIMITS)


def _blobs(landmarks: torch.Tensor, size: int, sigma: float) -> torch.Tensor:
    """The sum of a Gaussian at each landmark, (N, H, W); sigma: standard deviation, of the side."""
    centres = pixel_centres(size, landmarks.device)
    x, y = (torch.exp(-(((points[..., None] - centres) / sigma) ** 2) / 2) for points in landmarks.unbind(2))
    return torch.einsum("nky,nkx->nyx", y, x)


def _within(outline: torch.Tensor, size: int) -> torch.Tensor:
    """How far each pixel lies within an outline (N, P, 2), down a face's left side and up its right: (N, H, W).

    In shares of the side. It is taken to be convex, and to go on straight at its ends.
    """
    centres = pixel_centres(size, outline.device)
    (x, y), (dx, dy) = outline[:, :-1].unbind(2), outline.diff(dim=1).unbind(2)
    length = (dx.square() + dy.square()).sqrt().clamp(min=1e-4)
    across = dy[..., None] * (centres - x[..., None])  # (N, P - 1, W)
    down = dx[..., None] * (centres - y[..., None])
    return ((across[:, :, None] - down[..., None]) / length[..., None, None]).amin(1)
