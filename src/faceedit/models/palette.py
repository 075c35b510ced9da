"""The colours of faces, measured in aligned crops: `images` (N, 3, S, S) in [-1, 1]."""

from dataclasses import dataclass

import torch

Box = tuple[float, float, float, float]  # left, top, right, bottom, in shares of a crop's side
COLOURS = 4  # of a palette


@dataclass(frozen=True)
class PaletteSettings:
    """Numbers set by hand, and where each comes from. Brightness and colour are in the units of images."""

    cheeks: tuple[Box, Box] = ((0.2, 0.42, 0.34, 0.58), (0.66, 0.42, 0.8, 0.58))  # by eye
    lips: Box = (0.3, 0.58, 0.7, 0.84)  # where they are sought; by eye
    whites: Box = (0.0, 0.2, 1.0, 0.8)  # where the whites of the eyes, and teeth that show, are sought; by eye
    # By how much a pixel that is brighter or darker than the skin counts for less red, and how much the reddest pixels
    # count. By eye.
    unlike_skin: float = 0.15
    reddest: float = 30.0
    inside: float = 0.15  # of the lips' light reaches the inside; by eye
    brightest_share: float = 0.97  # of pixels are darker than the whites; by eye
    # Teeth that show in photos are on average 0.28 brighter than this share of the skin, and few by this much.
    by_skin: float = 0.78
    brightest: float = 0.58
    tint: float = 0.4  # of the skin's tint, which is the light's too, is the teeth's; measured likewise
    above_skin: float = 0.1  # teeth are at least that much brighter than the skin, by eye
    white: float = 0.9  # and never brighter than this, by eye


PALETTE = PaletteSettings()


def part(images: torch.Tensor, box: Box) -> torch.Tensor:
    """The part (N, 3, h, w) of aligned crops within a box."""
    left, top, right, bottom = sides(box, images.shape[-1])
    return images[:, :, top:bottom, left:right]


def sides(box: Box, size: int) -> tuple[int, int, int, int]:
    """A box in pixels of crops of a size: left, top, right, bottom."""
    left, top, right, bottom = (round(side * size) for side in box)
    return left, top, right, bottom


def palette(images: torch.Tensor) -> torch.Tensor:
    """The colours of skin, lips, the inside of the mouth and teeth, (N, 4, 3) in [-1, 1].

    Edits are drawn in these colours, which have the photo's light. Where no teeth show, the whites of the eyes stand
    for them; the limits keep a bright background from doing so.
    """
    left, right = (part(images, box).mean((2, 3)) for box in PALETTE.cheeks)
    skin = (left + right) / 2  # (N, 3)
    mouth = part(images, PALETTE.lips).flatten(2)
    brightness = skin.mean(1, keepdim=True)
    redness = (mouth[:, 0] - mouth[:, 1]) - PALETTE.unlike_skin * (mouth.mean(1) - brightness).abs()
    lips = (mouth * torch.softmax(PALETTE.reddest * redness, dim=1)[:, None]).sum(2)
    inside = -1 + PALETTE.inside * (lips + 1)
    bright = part(images, PALETTE.whites).mean(1).flatten(1)
    # torch.quantile takes three times as long.
    white = bright.kthvalue(round(PALETTE.brightest_share * bright.shape[1]), dim=1, keepdim=True).values
    white = white.clamp(brightness + PALETTE.above_skin, PALETTE.by_skin * brightness + PALETTE.brightest)
    teeth = (white.clamp(max=PALETTE.white) + PALETTE.tint * (skin - brightness)).clamp(-1, 1)
    return torch.stack([skin, lips, inside, teeth], dim=1)
