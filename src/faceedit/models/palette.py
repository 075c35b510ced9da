"""The colours of faces in aligned crops, `images` (N, 3, S, S) in [-1, 1], and parts of these."""

import torch

# Boxes in an aligned crop, of its side: left, top, right, bottom.
CHEEKS = ((0.2, 0.42, 0.34, 0.58), (0.66, 0.42, 0.8, 0.58))
LIPS = (0.3, 0.58, 0.7, 0.84)  # between its sides they are sought
WHITES = (0.0, 0.2, 1.0, 0.8)  # and in this, the whites of the eyes and the teeth that show
COLOURS = 4  # of a palette
# Teeth that show in photos are on average 0.28 brighter than this share of the skin, and few by this much; and they
# have this share of the skin's tint, which is the light's too.
BY_SKIN, BRIGHTEST, TINT = 0.78, 0.58, 0.4


def part(images: torch.Tensor, box: tuple[float, float, float, float]) -> torch.Tensor:
    """What lies in a box of aligned crops, given by its sides in units of theirs."""
    left, top, right, bottom = sides(box, images.shape[-1])
    return images[:, :, top:bottom, left:right]


def sides(box: tuple[float, float, float, float], size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom, in pixels, of a box of crops of a size."""
    left, top, right, bottom = (round(side * size) for side in box)
    return left, top, right, bottom


def palette(images: torch.Tensor) -> torch.Tensor:
    """The colours of these faces' skin, lips, open mouth and teeth, (N, 4, 3) in [-1, 1].

    What is drawn and shaded has these colours, so that it has the photo's light and none that faces have not. A face
    that shows no teeth has the whites of its eyes, but not what is brighter behind it.
    """
    left, right = (part(images, box).mean((2, 3)) for box in CHEEKS)
    skin = (left + right) / 2  # (N, 3)
    mouth = part(images, LIPS).flatten(2)
    brightness = skin.mean(1, keepdim=True)
    redness = (mouth[:, 0] - mouth[:, 1]) - 0.15 * (mouth.mean(1) - brightness).abs()
    lips = (mouth * torch.softmax(30 * redness, dim=1)[:, None]).sum(2)
    inside = -1 + 0.15 * (lips + 1)
    bright = part(images, WHITES).mean(1).flatten(1)
    # The quantile by its name takes thrice as long.
    white = bright.kthvalue(round(0.97 * bright.shape[1]), dim=1, keepdim=True).values
    white = white.clamp(brightness + 0.1, BY_SKIN * brightness + BRIGHTEST).clamp(max=0.9)
    teeth = (white + TINT * (skin - brightness)).clamp(-1, 1)
    return torch.stack([skin, lips, inside, teeth], dim=1)
