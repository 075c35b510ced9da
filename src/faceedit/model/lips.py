"""The lips of a face, by its landmarks: how far they are apart, and what shows between them.

`images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarks.Landmarker` finds them.
"""

import torch
from torch.nn import functional

from faceedit.model.landmarks import LOWER_LIP, UPPER_LIP, places
from faceedit.model.palette import risen

UPPER, LOWER = places(UPPER_LIP), places(LOWER_LIP)
MIDDLE = len(UPPER) // 2
GRID = (12, 32)  # points between the lips, down and across
BITE = (slice(2, 8), slice(10, 22))  # of GRID, where front teeth are
KEPT = (0.02, 0.04)  # of the crop's side: lips that far apart show teeth worth keeping, and all of them worth it
BARE = (0.0, 0.3)  # of what `bare` says: none of them, all of them
PALE = 0.55  # from the redness of lips, 0, to that of teeth, 1
COLOURFUL = 0.2  # so far apart, these tell something
WIDE = 0.1  # of the crop's side: a mouth as open as any


def state(landmarks: torch.Tensor, teeth: torch.Tensor) -> torch.Tensor:
    """How far lips are apart, and how far they show teeth that stay when they open: (N, 2), each from 0 to 1.

    teeth: (N,), see `bare`.
    """
    apart = opening(landmarks)
    return torch.stack([risen(apart, 0, WIDE), risen(apart, *KEPT) * risen(teeth, *BARE)], dim=1)


def opening(landmarks: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, (N,) shares of the crop's side."""
    return (landmarks[:, LOWER[MIDDLE]] - landmarks[:, UPPER[MIDDLE]])[:, 1].clamp(min=0)


def edges(landmarks: torch.Tensor, columns: torch.Tensor) -> list[torch.Tensor]:
    """How high the lips' inner edges lie in columns (N, W): the upper one's, the lower one's, (N, 1, W) each."""
    heights = []
    for lip in (UPPER, LOWER):
        x, y = landmarks[:, lip].unbind(2)
        # Rising, as it should be, and strictly: the network that finds landmarks errs in some photos.
        x = (x.cummax(dim=1).values + 1e-4 * torch.arange(len(lip), device=x.device)).contiguous()
        right = torch.searchsorted(x, columns.contiguous()).clamp(1, len(lip) - 1)
        (x0, x1), (y0, y1) = ((values.gather(1, right - 1), values.gather(1, right)) for values in (x, y))
        heights.append((y0 + (columns - x0) / (x1 - x0) * (y1 - y0))[:, None])
    return heights


def between(images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """What crops show between the lips, from the upper to the lower one and from corner to corner: (N, 3, *GRID)."""
    down, across = ((torch.arange(count, device=images.device) + 0.5) / count for count in GRID)
    left, right = landmarks[:, UPPER[0], :1], landmarks[:, UPPER[-1], :1]
    columns = left + across * (right - left)
    upper, lower = edges(landmarks, columns)
    rows = upper + down[:, None] * (lower - upper)
    places = torch.stack([columns[:, None].expand_as(rows), rows], dim=3) * 2 - 1
    return functional.grid_sample(images, places, align_corners=False)


def bare(seen: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """Whether what is seen (N, 3, *GRID) between lips is teeth, in its middle: (N,), above 0 where it is.

    colours: a palette, (N, 4, 3). Teeth are bright and, unless all is grey, less red than lips.
    """
    _, lips, _, white = colours.unbind(1)
    middle, way = seen[..., *BITE].mean((2, 3)), white - lips
    bright = ((middle - lips) * way).sum(1) / way.square().sum(1).clamp(min=0.03)
    red_middle, red_lips, red_white = (redness(colour) for colour in (middle, lips, white))
    room = red_lips - red_white
    pale = ((red_lips - red_middle) / room.clamp(min=0.1)).clamp(0, 1)
    return bright + 2 * risen(room, 0, COLOURFUL) * (pale - PALE)


def redness(colours: torch.Tensor) -> torch.Tensor:
    """How much more red than green colours (N, 3) are, as a share of their brightness, (N,)."""
    return (colours[:, 0] - colours[:, 1]) / (1 + colours.mean(1)).clamp(min=0.1)


def brightness(seen: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """From 0, the dark, to 1, teeth, how bright that is which is seen (N, 3, *GRID) between lips: (N, *GRID)."""
    dark, white = (colour.mean(1)[:, None, None] for colour in colours[:, 2:].unbind(1))
    return ((seen.mean(1) - dark) / (white - dark)).clamp(0, 1)
