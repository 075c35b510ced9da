"""The lips of a face, by its landmarks: how far they are apart, and what shows between them.

`images` (N, 3, S, S) in [-1, 1], aligned crops; `landmarks` (N, K, 2) as `landmarker.Landmarker` finds them.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from faceedit.models.face_mesh import LOWER_LIP, LOWER_LIP_OUTSIDE, UPPER_LIP, UPPER_LIP_OUTSIDE, point_indices
from faceedit.models.sampling import heights, indices, linear_ramp, pixel_centres

UPPER, LOWER = point_indices(UPPER_LIP), point_indices(LOWER_LIP)
EDGES = (tuple(UPPER), tuple(LOWER))
OUTER_EDGES = (tuple(point_indices(UPPER_LIP_OUTSIDE)), tuple(point_indices(LOWER_LIP_OUTSIDE)))
MIDDLE = len(UPPER) // 2
GRID = (12, 32)  # points between the lips, down and across


@dataclass(frozen=True)
class LipSettings:
    """Numbers set by hand, all of them by eye. Openings are shares of the crop's side."""

    front_teeth: tuple[slice, slice] = (slice(2, 8), slice(10, 22))  # of GRID, where they are
    kept_teeth: tuple[float, float] = (0.02, 0.04)  # openings from which on teeth begin to count, and count in full
    teeth_visibility: tuple[float, float] = (0.0, 0.3)  # of what `teeth_visibility` returns: no teeth, teeth alone
    pale: float = 0.55  # from the redness of lips, 0, to that of teeth, 1
    colourful: float = 0.2  # where lips are that much redder than teeth, colour counts in full
    wide: float = 0.1  # a mouth as open as any
    teeth_contrast: float = 0.3  # in units of images, between upper teeth and the dark below them
    teeth_end: tuple[float, float] = (0.1, 0.7)  # shares of the way down between which upper teeth end


LIPS = LipSettings()


def lip_condition(landmarks: torch.Tensor, teeth: torch.Tensor) -> torch.Tensor:
    """The lips' opening and the visibility of teeth that stay when they open: (N, 2), each from 0 to 1.

    teeth: (N,), see `teeth_visibility`.
    """
    return torch.stack([linear_ramp(lip_opening(landmarks), 0, LIPS.wide), kept_teeth(landmarks, teeth)], dim=1)


def kept_teeth(landmarks: torch.Tensor, teeth: torch.Tensor) -> torch.Tensor:
    """How visible teeth are that stay when lips open, (N,) from 0 to 1. teeth: (N,), see `teeth_visibility`."""
    return linear_ramp(lip_opening(landmarks), *LIPS.kept_teeth) * linear_ramp(teeth, *LIPS.teeth_visibility)


def lip_opening(landmarks: torch.Tensor) -> torch.Tensor:
    """The distance of the lips in their middle, (N,) shares of the crop's side."""
    return (landmarks[:, LOWER[MIDDLE]] - landmarks[:, UPPER[MIDDLE]])[:, 1].clamp(min=0)


def lip_curves(landmarks: torch.Tensor) -> torch.Tensor:
    """The inner edges of the upper and the lower lip, from corner to corner: (N, 2, P, 2)."""
    return landmarks[:, indices(EDGES, landmarks.device)]


def outer_lip_curves(landmarks: torch.Tensor) -> torch.Tensor:
    """The outer edges of the upper and the lower lip, from corner to corner: (N, 2, P, 2)."""
    return landmarks[:, indices(OUTER_EDGES, landmarks.device)]


def mouth_corners(landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The x of the left and the right corner of the mouth, (N, 1) each."""
    return landmarks[:, UPPER[0], :1], landmarks[:, UPPER[-1], :1]


def between_lips(images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """What crops show between the lips, from the upper to the lower one and from corner to corner: (N, 3, *GRID)."""
    down, across = (pixel_centres(count, images.device) for count in GRID)
    left, right = mouth_corners(landmarks)
    columns = left + across * (right - left)
    upper, lower = heights(lip_curves(landmarks), columns).unbind(1)
    rows = upper + down[:, None] * (lower - upper)
    grid = torch.stack([columns[:, None].expand_as(rows), rows], dim=3) * 2 - 1
    return functional.grid_sample(images, grid, align_corners=False)


def upper_teeth_end(seen: torch.Tensor) -> torch.Tensor:
    """Where upper teeth end in what is seen (N, 3, *GRID) between lips, in shares of the way down, (N,); nan where
    nothing bright lies above something dark, or that end not within `LIPS.teeth_end`."""
    down = GRID[0]
    light = seen.mean(1)[..., LIPS.front_teeth[1]].median(-1).values  # (N, down)
    bright, first = light[:, : down // 2 + 1].max(1)
    light = light.masked_fill(torch.arange(down, device=seen.device) < first[:, None], torch.inf)
    dark = light.amin(1)
    end = (light < ((bright + dark) / 2)[:, None]).float().argmax(1) / down
    known = (bright - dark > LIPS.teeth_contrast) & (end > LIPS.teeth_end[0]) & (end < LIPS.teeth_end[1])
    return torch.where(known, end, torch.nan)


def teeth_visibility(seen: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """A score (N,) above 0 where the middle of what is seen (N, 3, *GRID) between lips shows teeth.

    colours: a palette, (N, 4, 3). Teeth are bright and, unless the photo is grey, less red than lips.
    """
    _, lips, _, white = colours.unbind(1)
    middle, way = seen[..., *LIPS.front_teeth].mean((2, 3)), white - lips
    bright = ((middle - lips) * way).sum(1) / way.square().sum(1).clamp(min=0.03)
    red_middle, red_lips, red_white = redness(torch.stack([middle, lips, white])).unbind()
    room = red_lips - red_white
    pale = ((red_lips - red_middle) / room.clamp(min=0.1)).clamp(0, 1)
    return bright + 2 * linear_ramp(room, 0, LIPS.colourful) * (pale - LIPS.pale)


def redness(colours: torch.Tensor) -> torch.Tensor:
    """How much more red than green colours (..., 3) are, as a share of their brightness, (...)."""
    return (colours[..., 0] - colours[..., 1]) / (1 + colours.mean(-1)).clamp(min=0.1)


def brightness(seen: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
    """The brightness of what is seen (N, 3, *GRID) between lips, from 0, the dark, to 1, teeth: (N, *GRID)."""
    dark, white = (colour.mean(1)[:, None, None] for colour in colours[:, 2:].unbind(1))
    return ((seen.mean(1) - dark) / (white - dark)).clamp(0, 1)


def kept_teeth_edge(
    before: torch.Tensor, after: torch.Tensor, teeth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The lower edge (N, P, 2) of visible teeth once lips have moved, below points of the upper lip; and how much it
    counts, (N,) from 0 to 1. teeth: (N,), see `teeth_visibility`.

    Upper teeth do not move with a lip, whatever it hides or shows of them, at the sides too when a mouth narrows. What
    a lower lip reveals below them was not visible before.
    """
    share = kept_teeth(before, teeth)
    across, upper = lip_curves(after)[:, 0].unbind(2)
    lower_lips = torch.stack([lip_curves(before)[:, 1], lip_curves(after)[:, 1]], dim=1)
    reach, lower = heights(lower_lips, across)[:, :, 0].unbind(1)
    # But for the corners, where lips meet.
    down = teeth_edge(upper, torch.minimum(reach, lower), share[:, None])
    down = torch.cat([upper[:, :1], down[:, 1:-1], upper[:, -1:]], dim=1)
    return torch.stack([across, down], dim=2), share * (opening_below_teeth(before, after, share) > 0)


def opening_below_teeth(before: torch.Tensor, after: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The distance (N,), in the middle, from the edge of a share (N,) of the visible teeth down to the lower lip."""
    upper, lower, reach = after[:, UPPER[MIDDLE], 1], after[:, LOWER[MIDDLE], 1], before[:, LOWER[MIDDLE], 1]
    return lower - teeth_edge(upper, reach, share)


def teeth_edge(upper: torch.Tensor, reach: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The y of the edge of a share of the teeth, which reached down to `reach`, below an upper lip."""
    return upper + share * (reach - upper).clamp(min=0)


def signed_distance(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """The distance in pixels of each pixel of crops of a size from the edge of the mouth's opening, (N, S, S), above 0
    inside and below 0 outside."""
    centres = pixel_centres(size, landmarks.device)
    across = centres.expand(len(landmarks), -1)
    upper, lower = heights(lip_curves(landmarks), across).unbind(1)
    return size * distance_inside_lips(upper, lower, mouth_corners(landmarks), across, centres)


def distance_inside_lips(
    upper: torch.Tensor,
    lower: torch.Tensor,
    ends: tuple[torch.Tensor, torch.Tensor],
    across: torch.Tensor,
    down: torch.Tensor,
) -> torch.Tensor:
    """The distance of points, in columns across (N, W) and rows down (H,), from lines (N, 1, W) above and below them
    and from the ends of these: (N, H, W), above 0 between the lines."""
    left, right = ends
    beside = torch.minimum(across - left, right - across)[:, None]
    return torch.minimum(torch.minimum(down[:, None] - upper, lower - down[:, None]), beside)
