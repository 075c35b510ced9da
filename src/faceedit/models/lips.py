"""The lips of a face, by its landmarks: how far they are apart, and what shows between them.

`images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds them.
"""

import torch
from torch.nn import functional

from faceedit.models.landmarker import LOWER_LIP, UPPER_LIP, places
from faceedit.models.sampling import heights, middles, risen

UPPER, LOWER = places(UPPER_LIP), places(LOWER_LIP)
EDGES = torch.tensor([UPPER, LOWER])
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
    return torch.stack([risen(opening(landmarks), 0, WIDE), kept(landmarks, teeth)], dim=1)


def kept(landmarks: torch.Tensor, teeth: torch.Tensor) -> torch.Tensor:
    """How far lips show teeth that stay when they open, (N,) from 0 to 1. teeth: (N,), see `bare`."""
    return risen(opening(landmarks), *KEPT) * risen(teeth, *BARE)


def opening(landmarks: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, (N,) shares of the crop's side."""
    return (landmarks[:, LOWER[MIDDLE]] - landmarks[:, UPPER[MIDDLE]])[:, 1].clamp(min=0)


def curves(landmarks: torch.Tensor) -> torch.Tensor:
    """The inner edges of the upper and the lower lip, from corner to corner: (N, 2, P, 2)."""
    return landmarks[:, EDGES]


def corners(landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far to the right the left and the right corner of the mouth lie, (N, 1) each."""
    return landmarks[:, UPPER[0], :1], landmarks[:, UPPER[-1], :1]


def between(images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """What crops show between the lips, from the upper to the lower one and from corner to corner: (N, 3, *GRID)."""
    down, across = (middles(count, images.device) for count in GRID)
    left, right = corners(landmarks)
    columns = left + across * (right - left)
    upper, lower = heights(curves(landmarks), columns).unbind(1)
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
    red_middle, red_lips, red_white = redness(torch.stack([middle, lips, white])).unbind()
    room = red_lips - red_white
    pale = ((red_lips - red_middle) / room.clamp(min=0.1)).clamp(0, 1)
    return bright + 2 * risen(room, 0, COLOURFUL) * (pale - PALE)


def redness(colours: torch.Tensor) -> torch.Tensor:
    """How much more red than green colours (..., 3) are, as a share of their brightness, (...)."""
    return (colours[..., 0] - colours[..., 1]) / (1 + colours.mean(-1)).clamp(min=0.1)


def brightness(seen: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """From 0, the dark, to 1, teeth, how bright that is which is seen (N, 3, *GRID) between lips: (N, *GRID)."""
    dark, white = (colour.mean(1)[:, None, None] for colour in colours[:, 2:].unbind(1))
    return ((seen.mean(1) - dark) / (white - dark)).clamp(0, 1)
