"""Lids that move as far as photos show, where convolutions open the eyes of smiling faces twice as wide, and pull
the skin below them down to bags."""

import torch
from torch.nn import functional

from faceedit.models.brows import EDGES, HAIR
from faceedit.models.face_mesh import EYE_CORNERS, LOWER_LIDS, UPPER_LIDS, point_indices
from faceedit.models.sampling import bell, heights, indices, linear_ramp, pixel_centres

_OUTER, _INNER, _INNER_TOO, _OUTER_TOO = EYE_CORNERS
# Both lids of both eyes, from corner to corner: (2 eyes, 2 lids, 9 points), flat.
LIDS = tuple(
    point_indices(
        (
            *(_OUTER, *UPPER_LIDS[:7], _INNER, _OUTER, *LOWER_LIDS[:7], _INNER),
            *(_OUTER_TOO, *UPPER_LIDS[7:], _INNER_TOO, _OUTER_TOO, *LOWER_LIDS[7:], _INNER_TOO),
        )
    )
)
# Shares of the crop's side, by eye: along a lid; over which the skin above and below goes with it; and beside an eye.
ALONG, ABOVE, BELOW, BESIDE = 0.02, 0.03, 0.08, 0.03
LASHES = 0.008  # of the side: so far above a lid's edge skin and lashes go with it; by eye
# Likewise: up to the first below an eye, skin goes down no further than its lid; beyond the second, as mouths pull it.
CHEEK = (0.12, 0.27)
# The gap between lids by the width of an eye. Up to the first an eye is closed, and has nothing to show when it opens:
# of 328 eyes in portraits, four that are closed lie below it, and none between the two. Edits open no eye further than
# the third, beyond which lies one of a hundred in validation photos.
CLOSED, WIDEST = (0.1, 0.15), 0.45


def move_lids(flow: torch.Tensor, before: torch.Tensor, after: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but around eyes, where it takes lids from their landmarks
    before to those after, (N, K, 2) each; amount: (N, 1, 1, 1), from 0, where nothing moves, to 1."""
    lids = indices(LIDS, flow.device)
    before, after = (points[:, lids].unflatten(1, (2, 2, -1)) for points in (before, after))
    after = before + _opening(before, after - before)
    centres = pixel_centres(flow.shape[-1], flow.device)
    x, y = after.unbind(-1)  # (N, eyes, lids, points)
    near = bell(x[..., None] - centres, ALONG)  # (N, eyes, lids, points, S)
    near = near / near.sum(3, keepdim=True).clamp(min=1e-6)
    upper, lower = (near * y[..., None]).sum(3)[..., None, :].unbind(2)  # (N, eyes, 1, S), a lid's edge in each column
    rows = centres[:, None]
    share = ((rows - upper) / (lower - upper).clamp(min=1e-3)).clamp(0, 1)  # of what the lower lid does
    asked = (near[..., None, :] * 2 * (before - after)[..., None]).sum(3)[..., None, :]  # (N, eyes, lids, 2, 1, S)
    falls = amount * asked[:, :, 1, 1].clamp(max=0)  # (N, eyes, 1, S), how far the lower lid goes down
    asked = torch.lerp(asked[:, :, 0], asked[:, :, 1], share[:, :, None])  # (N, eyes, 2, S, S)
    left, right = (edge[..., None] for edge in x.flatten(2).aminmax(dim=2))
    beside = ((left - centres).clamp(min=0) + (centres - right).clamp(min=0))[:, :, None]
    above, below = (upper - rows).clamp(min=0), (rows - lower).clamp(min=0)
    around = (bell(above, ABOVE) * bell(below, BELOW) * bell(beside, BESIDE))[:, :, None]  # (N, eyes, 1, S, S)
    across, down = (flow + amount * (around * (asked - flow[:, None])).sum(1)).unbind(1)
    beneath = (below > 0) * linear_ramp(below, *CHEEK[::-1]) * bell(beside, BESIDE)
    return torch.stack([across, down + (beneath * (falls - down[:, None]).clamp(min=0)).amax(1)], dim=1)


def unfold_lids(flow: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but between lids and brows that rise from them: that skin
    unfolds evenly, where a crease or lashes alone would be drawn out to a dark patch.

    after: (N, K, 2), the landmarks that the flow leads to.
    """
    centres = pixel_centres(flow.shape[-1], flow.device)
    brows, lids = (after[:, indices(points, flow.device)].unflatten(1, (2, 2, -1)) for points in (EDGES, LIDS))
    across, up = flow.unbind(1)
    ends, moves = [], []  # (N, eyes, S) each: where that skin begins and ends, and what the flow is there
    for curve, margin in ((brows[:, :, 1], HAIR), (lids[:, :, 0], -LASHES)):
        curve = curve.take_along_dim(curve[..., :1].argsort(dim=2), dim=2)  # from left to right
        columns = torch.minimum(torch.maximum(centres, curve[..., :1, 0]), curve[..., -1:, 0])
        rows = heights(curve.flatten(0, 1)[:, None], columns.flatten(0, 1)).view_as(columns) + margin
        ends.append(rows)
        place = torch.stack([centres.expand_as(rows), rows], dim=-1) * 2 - 1
        moves.append(functional.grid_sample(up[:, None], place, padding_mode="border", align_corners=False)[:, 0])
    share = (centres[:, None] - ends[0][:, :, None]) / (ends[1] - ends[0]).clamp(min=1e-3)[:, :, None]
    even = torch.lerp(moves[0][:, :, None], moves[1][:, :, None], share.clamp(0, 1))  # (N, eyes, S, S)
    left, right = (edge[..., None] for edge in lids[..., 0].flatten(2).aminmax(dim=2))
    beside = bell((left - centres).clamp(min=0) + (centres - right).clamp(min=0), BESIDE)[:, :, None]
    between = ((share > 0) & (share < 1)) * (moves[0] > moves[1])[:, :, None] * beside
    return torch.stack([across, up - (between * (up[:, None] - even).clamp(min=0)).amax(1)], dim=1)


def _opening(lids: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """The moves of lids, both (N, eyes, lids, points, 2), that open no eye further than eyes open; those of closed eyes
    move together."""
    middle = lids.shape[3] // 2
    width = (lids[:, :, 0, -1] - lids[:, :, 0, 0]).norm(dim=-1).clamp(min=1e-3)
    gap, wider = ((x[:, :, 1, middle, 1] - x[:, :, 0, middle, 1]) / width for x in (lids, moves))
    share = linear_ramp(gap, *CLOSED) * ((WIDEST - gap).clamp(min=0) / wider.clamp(min=1e-3)).clamp(max=1)
    share = torch.where(wider > 0, share, 1)[..., None, None, None]
    together = moves.mean(2, keepdim=True)
    return together + share * (moves - together)
