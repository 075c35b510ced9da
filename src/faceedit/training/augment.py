"""Random changes to crops that leave the expression as it is: other crops, light, blur, JPEG, something in front.

images: (N, 3, S, S) in [-1, 1] on any device; generator: draws random numbers for these N images.
"""

import math

import torch
from torch.nn import functional

from faceedit.models.landmarker import mirrored
from faceedit.models.sampling import constant
from faceedit.training.distributed import BatchGenerator

SHIFT, LOG_SCALE, ANGLE = 0.12, 0.2, 0.25  # of the side; natural logarithm; radians: each at most
# The luminance table of JPEG (ITU-T T.81, annex K), for quality 50.
QUANTISATION = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def augment(images: torch.Tensor, size: int, generator: BatchGenerator) -> torch.Tensor:
    """The crops changed at random and resized, (N, 3, size, size)."""
    images = recolour(recrop(images, size, generator), generator)
    # Each quarter of the batch, which is shuffled already, gets another kind of damage.
    quarters = generator.split(4)
    plain, small, pressed, hidden = images.split([len(quarter) for quarter in quarters])
    parts = [plain, _shrunk(small, quarters[1]), _pressed(pressed, quarters[2]), _hidden(hidden, quarters[3])]
    return torch.cat(parts).clamp(-1, 1)


def recrop(images: torch.Tensor, size: int, generator: BatchGenerator) -> torch.Tensor:
    """Each crop mirrored or not, shifted, scaled and turned at random; what lies outside is mirrored into it."""
    theta = affinities(generator, ANGLE, LOG_SCALE, SHIFT)
    theta[:, :, 0] *= generator.coins()[:, None] * 2.0 - 1
    return resampled(images, theta, size)


def affinities(
    generator: BatchGenerator, angle: float, log_scale: float, shift: float, stretch: float = 0
) -> torch.Tensor:
    """Random affine transforms (N, 2, 3) from new crops to old, both in [-1, 1].

    angle: radians. log_scale, stretch: natural logarithms. shift: a share of the side. Each is the largest magnitude.
    """
    limits = angle, log_scale, 2 * shift, 2 * shift, stretch, stretch
    turn, growth, x, y, along, across = ((generator.rand() * 2 - 1) * limit for limit in limits)
    cos, sin = growth.exp() * turn.cos(), growth.exp() * turn.sin()
    shape = torch.stack([torch.stack([along, across], 1), torch.stack([across, -along], 1)], 1)
    turned = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return torch.cat([turned @ torch.matrix_exp(shape), torch.stack([x, y], 1)[..., None]], dim=2)


def resampled(images: torch.Tensor, theta: torch.Tensor, size: int) -> torch.Tensor:
    """The crops transformed by `theta` (N, 2, 3), see `affinities`, (N, 3, size, size)."""
    grid = functional.affine_grid(theta.to(images.device), [len(images), 3, size, size], align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def moved(
    images: torch.Tensor, landmarks: torch.Tensor, mirror: torch.Tensor, theta: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The crops and their landmarks (N, K, 2), mirrored where `mirror` (N,) says so, after `theta` (N, 2, 3)."""
    mirror = mirror.to(images.device)
    images = torch.where(mirror[:, None, None, None], images.flip(3), images)
    landmarks = torch.where(mirror[:, None, None], mirrored(landmarks), landmarks)
    return resampled(images, theta, images.shape[-1]), replaced(landmarks, theta)


def relit(images: torch.Tensor, share: float, generator: BatchGenerator) -> torch.Tensor:
    """The crops, a share of them recoloured."""
    chosen = (generator.rand() < share).to(images.device)[:, None, None, None]
    return torch.where(chosen, recolour(images, generator), images)


def replaced(points: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Where points (N, K, 2) of crops, as shares of their side, lie after `theta` (N, 2, 3), see `affinities`."""
    theta = theta.to(points.device)
    old = 2 * points - 1 - theta[:, None, :, 2]
    return (torch.linalg.solve(theta[:, :, :2], old.mT).mT + 1) / 2


def recolour(images: torch.Tensor, generator: BatchGenerator) -> torch.Tensor:
    """Another exposure, gamma, contrast and white balance for each crop; one in eight turns grey."""

    def draw(limit: float, *shape: int) -> torch.Tensor:
        values = (generator.rand(*shape) * 2 - 1) * limit
        return values.view(len(images), *shape, *[1] * (3 - len(shape))).to(images.device)

    light = ((images + 1) / 2).clamp(1e-4, 1) ** draw(0.4, 1).exp()
    light = light * (draw(0.35, 1) + draw(0.12, 3)).exp()
    middle = light.mean((1, 2, 3), keepdim=True)
    light = middle + (light - middle) * draw(0.3, 1).exp()
    grey = light.mean(1, keepdim=True).expand_as(light)
    light = torch.where(draw(1, 1) > 0.75, grey, light)
    return light.clamp(0, 1) * 2 - 1


def jpeg(images: torch.Tensor, quality: float) -> torch.Tensor:
    """The crops as JPEG of a quality (1-95) would leave them, each channel by the luminance table; sides in eights.

    To gradients, rounding is nothing (a straight-through estimator: Bengio et al. 2013): its own are none.
    """
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    table = (constant(QUANTISATION, images.device).to(images) * scale).round().clamp(1, 255)
    waves = torch.arange(8.0)
    basis = torch.cos((2 * waves[None] + 1) * waves[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    basis = basis.to(images)
    count, channels, height, width = images.shape
    blocks = (images * 127.5 - 0.5).view(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    coefficients = basis @ blocks @ basis.T / table
    coefficients = (coefficients + (coefficients.round() - coefficients).detach()) * table
    return ((basis.T @ coefficients @ basis).transpose(3, 4).reshape(images.shape) + 0.5) / 127.5


def _shrunk(images: torch.Tensor, generator: BatchGenerator) -> torch.Tensor:
    """Crops of faces that were small in their photo: reduced, then enlarged."""
    size = images.shape[2]
    small = round(size * (0.25 + 0.6 * generator.once()))
    images = functional.interpolate(images, (small, small), mode="bilinear", antialias=True, align_corners=False)
    return functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)


def _pressed(images: torch.Tensor, generator: BatchGenerator) -> torch.Tensor:
    """Crops with noise and JPEG artefacts."""
    noise = generator.randn(*images.shape[1:]).to(images.device)
    images = images + noise * 0.08 * generator.once()
    return jpeg(images, 10 + 60 * generator.once())


def _hidden(images: torch.Tensor, generator: BatchGenerator) -> torch.Tensor:
    """Crops with a rectangle of one colour over a part."""
    size = images.shape[2]
    width, height, x, y, *colour = generator.rand(7).to(images.device).unbind(1)
    width, height = (torch.round(size * (0.1 + 0.3 * side)) for side in (width, height))
    x, y = torch.round((size - width) * x), torch.round((size - height) * y)
    grid = torch.arange(size, device=images.device)
    across, down = (
        (grid >= start[:, None]) & (grid < (start + side)[:, None]) for start, side in ((x, width), (y, height))
    )
    hidden = (down[:, :, None] & across[:, None])[:, None]
    return torch.where(hidden, torch.stack(colour, dim=1)[..., None, None] * 2 - 1, images)
