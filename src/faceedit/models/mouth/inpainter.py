"""The network that inpaints the inside of a mouth, learnt from photos whose mouths were hidden.

It works on one region of an aligned crop. Throughout: `images` (N, 3, H, W) in [-1, 1], the region; `mask` (N, 1, H, W)
in [0, 1], 1 where the inside of the mouth is to be drawn; `condition` (N, CONDITION), see `describe`; `z` (N, z_dim), a
latent that chooses among the mouths that fit; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds them.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from faceedit.config import MouthConfig
from faceedit.models.editor import EDIT
from faceedit.models.layers import ModulatedBlock
from faceedit.models.lips import kept_teeth, lip_curves, lip_opening, mouth_corners
from faceedit.models.mouth.drawing import Mouth
from faceedit.models.sampling import heights, linear_ramp, pixel_centres, smoothed

# Left, top, right, bottom, in shares of a crop's side. At 256 pixels: 160 × 96, from below the nose to the chin.
REGION = (48 / 256, 150 / 256, 208 / 256, 246 / 256)
GROW = 1.5  # pixels at a side of 256, over the edges of lips: by eye
CORNERS, PARTED = 11.0, 8.0  # pixels at a side of 256: how far inpainting reaches around corners, once lips part so far
CONDITION = 2  # numbers
MOUTH_KINDS, LATENTS = 4, 8  # of mouths that edits draw, and latents of each, see `choose`
# Valence from which on mouths smile, and do so altogether; openings, shares of the side, from which on smiles laugh:
# teeth are as long, which is less of the opening. By eye.
SMILING, LAUGHING = (0.2, 0.6), (0.07, 0.1)
SHARPNESS = 8.0  # of the choice: most faces get the mouth of one photo, few get one between two
# Pixels at a side of 256, of a Gaussian: of lips and skin, networks see no finer detail. Warps stretch it as no photo
# does, and a network that saw it drew lumps for teeth.
SMOOTHED = 3.0
PARTING = 0.02, 0.05  # of the side: lips that are closer are shown as they are, so that their line goes on
TYPICAL_BLUR = 1.2  # pixels at a side of 256: between the sharpest photos and the softest


def region(size: int) -> tuple[slice, slice]:
    """The rows and columns of the mouth's region in crops of a size in pixels."""
    left, top, right, bottom = (round(side * size) for side in REGION)
    return slice(top, bottom), slice(left, right)


def describe(blur: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """The condition (N, CONDITION) under which a mouth is inpainted. Affect is no part of it and does no more than
    choose latents: few photos of what edits ask for show mouths as wide.

    blur: (N,), how soft the photo is, the standard deviation of a Gaussian in pixels of a crop of 256.
    """
    return torch.stack([blur - TYPICAL_BLUR, 10 * lip_opening(landmarks)], dim=1)


def choose(person: torch.Tensor, valence: torch.Tensor, opening: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """How much of each of `MouthInpainter.latents` a mouth is drawn by, (N, MOUTH_KINDS, LATENTS); each sums up to 1.

    person: (N, LATENTS), of which the highest number chooses; about standard normal, and the same for one person.
    valence: (N,), of the target: smiles show more of the upper teeth than other mouths as open. opening: (N,), see
    `lips.lip_opening`. kept: (N,) in [0, 1], how visible teeth are that stay, see `lips.kept_teeth`.
    """
    smiling, laughing = linear_ramp(valence, *SMILING), linear_ramp(opening, *LAUGHING)
    whole = torch.stack([smiling * (1 - laughing), smiling * laughing, 1 - smiling], dim=1)
    kinds = torch.cat([(1 - kept)[:, None] * whole, kept[:, None]], dim=1)
    return kinds[:, :, None] * (SHARPNESS * person).softmax(1)[:, None]


def shown_to_network(images: torch.Tensor, mask: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """What a network sees of regions, (N, 3, H, W): around parted lips, lips and skin smoothed; teeth that stay as they
    are."""
    visible = 1 - mask
    size = images.shape[-1] / (REGION[2] - REGION[0])  # of the crop
    around, share = (smoothed(x, SMOOTHED * size / 256) for x in (images * visible, visible))
    closed = 1 - linear_ramp(lip_opening(landmarks), *PARTING)[:, None, None, None]
    as_it_is = torch.maximum(mouth_mask(landmarks, round(size), 0.0), closed)
    return torch.lerp(around / (share + 1e-3), images, as_it_is * visible)


def mouth_mask(
    landmarks: torch.Tensor,
    size: int,
    grow: torch.Tensor | float,
    keep: torch.Tensor | float = 0.0,
    corners: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """The inside of the lips in the region of crops of a size, (N, 1, H, W) in [0, 1].

    grow: (N,) pixels by which it reaches over the lips. keep: (N,), the share of the opening, from the upper lip down,
    that stays as it is. corners: (N,), see `corner_mask`.
    """
    rows, columns = region(size)
    centres = pixel_centres(size, landmarks.device)
    across = centres[columns].expand(len(landmarks), -1)
    upper, lower = heights(lip_curves(landmarks), across).unbind(1)  # (N, 1, W) each
    grow, keep = (torch.as_tensor(x, device=landmarks.device).view(-1, 1, 1) for x in (grow, keep))
    upper = upper + keep * (lower - upper)
    left, right = mouth_corners(landmarks)
    beside = torch.minimum(across - left, right - across)[:, None]
    down = centres[rows][:, None]
    inside = torch.minimum(torch.minimum(down - upper, lower - down), beside)
    mask = (size * inside + grow + 0.5).clamp(0, 1)
    return torch.maximum(mask, corner_mask(landmarks, size, corners))[:, None]


def corner_mask(landmarks: torch.Tensor, size: int, radius: torch.Tensor | float) -> torch.Tensor:
    """Discs with soft edges around the corners of the mouth in the region of crops of a size, (N, H, W) in [0, 1].

    radius: (N,) pixels, 0 for none. Lips that part or meet fold and unfold there, which no flow can show.
    """
    rows, columns = region(size)
    centres = pixel_centres(size, landmarks.device)
    radius = torch.as_tensor(radius, device=landmarks.device).view(-1, 1, 1)
    ends = lip_curves(landmarks)[:, :, [0, -1]].mean(1)  # (N, 2, 2): left and right; x, y
    across, down = (centres[part] - ends[..., axis, None] for axis, part in enumerate((columns, rows)))
    distance = size * (across[:, :, None].square() + down[..., None].square()).sqrt().amin(1)
    return (2 * (1 - distance / radius.clamp(min=1e-3))).clamp(0, 1) * (radius > 0)


def edit_mask(
    before: torch.Tensor,
    after: torch.Tensor,
    teeth: torch.Tensor,
    source: torch.Tensor,
    target: torch.Tensor,
    size: int = 256,
) -> torch.Tensor:
    """What of a face's mouth is to be inpainted once an edit has moved its landmarks, (N, H, W) in [0, 1].

    before, after: landmarks. teeth: (N,), see `lips.teeth_visibility`: those that show stay.
    source, target: (N, 2), affect.
    """
    distance = Mouth(before, after, kept_teeth(before, teeth), size, region(size)).distance()
    # Nothing is inpainted at the source itself, nor where lips that were closed stay so.
    amount = ((target - source).norm(dim=1) / EDIT.free_length).clamp(max=1) * 8 - 1
    opened = size * torch.maximum(lip_opening(before), lip_opening(after)) - 1
    limit = torch.minimum(amount, opened)[:, None, None]
    parted = size * (lip_opening(after) - lip_opening(before)).abs()
    corners = corner_mask(after, size, CORNERS * (parted / PARTED).clamp(max=1))
    return torch.minimum(torch.maximum(distance[:, 0] + GROW + 0.5, corners), limit).clamp(0, 1)


class MouthInpainter(nn.Module):
    """images as `shown_to_network`, mask, condition, z → images whose hidden part is inpainted, (N, 3, H, W); the rest
    of them means nothing.

    A U-Net that works at a half, a quarter, an eighth and a sixteenth of the region's size, whose sides are multiples
    of 16.

    latents: (MOUTH_KINDS, LATENTS, z_dim), the z of some photos' mouths, which edits draw by: for smiles, for
    laughter, for other mouths that open, and for what lies below teeth that stay. `training.latents` chooses them, see
    `choose` too.
    """

    def __init__(self, config: MouthConfig):
        super().__init__()
        self.config = config
        fine, (first, second, third), hidden = config.fine_channels, config.channels, config.condition_dim
        self.condition = nn.Sequential(
            nn.Linear(CONDITION + config.z_dim, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.stem = nn.Conv2d(4 * 4, fine, 3, padding=1)
        self.to_quarter = nn.Conv2d(4 * fine, first, 1)
        self.quarter = ModulatedBlock(first, hidden)
        self.to_eighth = nn.Conv2d(first, second, 2, 2)
        self.eighth = ModulatedBlock(second, hidden)
        self.to_sixteenth = nn.Conv2d(second, third, 2, 2)
        self.bottom = nn.ModuleList(ModulatedBlock(third, hidden) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ((third, second), (second, first), (first, fine)))
        self.decode = nn.ModuleList(ModulatedBlock(channels, hidden) for channels in (second, first, fine))
        self.to_pixels = nn.Conv2d(fine, 3 * 4, 3, padding=1)
        self.latents: torch.Tensor
        self.register_buffer("latents", torch.zeros(MOUTH_KINDS, LATENTS, config.z_dim))

    def latent(self, choice: torch.Tensor) -> torch.Tensor:
        """z (N, z_dim) of a choice (N, MOUTH_KINDS, LATENTS), see `choose`."""
        return choice.flatten(1) @ self.latents.flatten(0, 1)

    def forward(
        self, images: torch.Tensor, mask: torch.Tensor, condition: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        condition = self.condition(torch.cat([condition, z], dim=1))
        half = self.stem(functional.pixel_unshuffle(torch.cat([images * (1 - mask), mask], dim=1), 2))
        quarter = self.quarter(self.to_quarter(functional.pixel_unshuffle(half, 2)), condition)
        eighth = self.eighth(self.to_eighth(quarter), condition)
        x = self.to_sixteenth(eighth)
        for block in self.bottom:
            x = block(x, condition)
        for narrow, block, skip in zip(self.narrow, self.decode, (eighth, quarter, half), strict=True):
            x = block(functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + skip, condition)
        return functional.pixel_shuffle(self.to_pixels(functional.silu(x)), 2).float()


class MouthEncoder(nn.Module):
    """images, mask → mean and log variance (N, z_dim) each of the z that the hidden part shows. For training alone."""

    def __init__(self, config: MouthConfig):
        super().__init__()
        widths = (32, 48, 96, 128)
        layers: list[nn.Module] = [nn.Conv2d(4 * 4, widths[0], 3, padding=1), nn.SiLU()]
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Conv2d(fan_in, fan_out, 4, 2, 1), nn.GroupNorm(8, fan_out), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.to_z = nn.Linear(widths[-1], 2 * config.z_dim)

    def forward(self, images: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.features(functional.pixel_unshuffle(torch.cat([images * mask, mask], dim=1), 2))
        weight = functional.interpolate(mask, features.shape[2:], mode="area")
        features = (features * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1e-3)
        mean, log_variance = self.to_z(features).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-6, 2)
