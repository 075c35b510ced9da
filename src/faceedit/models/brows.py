"""Brows that keep their thickness, where convolutions press the hair of a frown to a line."""

import torch
from torch.nn import functional

from faceedit.models.face_mesh import point_indices
from faceedit.models.sampling import bell, heights, indices, parabolas, pixel_centres

# The upper and the lower edge of both brows, from left to right: (2 brows, 2 edges, 5 points), flat.
UPPER, LOWER = (70, 63, 105, 66, 107), (46, 53, 52, 65, 55)
UPPER_TOO, LOWER_TOO = (336, 296, 334, 293, 300), (285, 295, 282, 283, 276)
EDGES = tuple(point_indices((*UPPER, *LOWER, *UPPER_TOO, *LOWER_TOO)))
UPPER_EDGES = tuple(point_indices((*UPPER, *UPPER_TOO)))
# Shares of the crop's side, by eye: the deviation of a Gaussian, how far the skin beside a brow goes with it; how far
# hair grows over the landmarks of its upper edge.
REACH, HAIR = 0.025, 0.012
# In units of half the side, by eye: 3 pixels of 96, how far the flow may lead beyond the landmarks of a brow.
BEYOND = 0.06
STRETCH = 1.5  # skin above a brow gets no taller than that many times; by eye
# By eye: how much less the skin above a brow is lifted, for each pixel further up, and aside; and how far above brows,
# in shares of the side, this holds in full.
FALL_UP, FALL_ASIDE, FOREHEAD = 0.22, 0.35, 0.05
PLACES = 17  # along a brow


def keep_brows(flow: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but at brows, where it moves all of a column alike, by what it
    moves on average there, columns along a parabola, and none much further than landmarks; and above them, where it
    draws no hair up for the shadows of a frown.

    before, after: (N, K, 2), the landmarks that it takes from here to there.
    """
    brows = indices(EDGES, flow.device)
    were, edges = (
        points[:, brows].unflatten(1, (2, 2, -1)) for points in (before, after)
    )  # (N, brows, edges, points, 2)
    centres = pixel_centres(flow.shape[-1], flow.device)
    left, right = (end[..., None] for end in edges[..., 0].flatten(2).aminmax(dim=2))  # (N, brows, 1)
    columns = torch.minimum(torch.maximum(centres, left), right)  # (N, brows, S)
    upper, lower = _heights(edges, columns)
    rows = centres[:, None]
    near = bell((upper - rows).clamp(min=0), REACH) * bell((rows - lower).clamp(min=0), REACH)
    near, flows = near[:, :, None], flow[:, None]  # (N, brows, 1, S, S); (N, 1, 2, S, S)
    alike = (near * flows).sum(3, keepdim=True) / near.sum(3, keepdim=True).clamp(min=1e-6)
    beside = bell(centres - columns, REACH)[:, :, None]  # (N, brows, 1, S)
    alike = _smooth(alike, left, right, columns)
    across, up = alike.unbind(2)  # (N, brows, 1, S) each
    asked = _moves(were, edges, columns)
    up = asked + (up - asked).clamp(-BEYOND, BEYOND)
    alike = torch.stack([across, up], dim=2)
    columns = columns + across[:, :, 0] / 2  # where they come from
    (upper,) = _heights(were[:, :, :1], columns)
    flow = flow + (near * beside[:, :, None] * (alike - flows)).sum(1)
    above = (upper - HAIR - up / 2 - rows).clamp(min=0)
    most = up + 2 * (1 - 1 / STRETCH) * above
    hair = (flow[:, None, 1] - most).clamp(min=0) * (above > 0) * beside
    across, up = flow.unbind(1)
    return torch.stack([across, up - hair.amax(1)], dim=1)


def lift_forehead(flow: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but above lifted brows, with which the whole forehead goes.

    Convolutions heap its skin up right over the brow. after: (N, K, 2), the landmarks that the flow leads to.
    """
    edges = after[:, indices(UPPER_EDGES, flow.device)]  # (N, points, 2)
    across, up = flow.unbind(1)
    centres = pixel_centres(flow.shape[-1], flow.device)
    columns = torch.minimum(torch.maximum(centres, edges[:, :1, 0]), edges[:, -1:, 0])
    above = heights(edges[:, None], columns)[:, 0] - centres[:, None]  # (N, S, S)
    further_up, further_right = 2 * FALL_UP * centres[:, None], 2 * FALL_ASIDE * centres
    rise = up.clamp(min=0)
    lifted = (rise.masked_fill(above < 0, -1.0) - further_up).flip(1).cummax(1).values.flip(1) + further_up
    from_left = (lifted + further_right).cummax(2).values - further_right
    from_right = (lifted - further_right).flip(2).cummax(2).values.flip(2) + further_right
    lifted = torch.maximum(from_left, from_right)
    share = (above / FOREHEAD).clamp(0, 1)
    return torch.stack([across, up + share * (lifted - rise).clamp(min=0)], dim=1)


def _heights(curves: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The y of C curves (N, sides, C, points, 2) at columns (N, sides, S): (N, sides, 1, S) each."""
    return heights(curves.flatten(0, 1), columns.flatten(0, 1)).unflatten(0, columns.shape[:2]).unbind(2)


def _moves(before: torch.Tensor, after: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The flow up and down, in units of half the side, that takes both edges (N, brows, edges, points, 2) of each brow
    from before to after, on average, at columns (N, brows, S): (N, brows, 1, S)."""
    across, up = after[..., 0].mean(2), 2 * (before - after)[..., 1].mean(2)
    (moves,) = _heights(torch.stack([across, up], dim=3)[:, :, None], columns)
    return moves


def _smooth(moves: torch.Tensor, left: torch.Tensor, right: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The moves (N, brows, 2, 1, S) of columns (N, brows, S), as parabolas from the left to the right of each brow, (N,
    brows, 1) each; of the same shape."""
    along = torch.linspace(0, 1, PLACES, device=moves.device)
    places, share = (
        2 * x - 1 for x in (left + (right - left) * along, (columns - left) / (right - left).clamp(min=1e-3))
    )
    places, share = (torch.stack([x, x * 0], dim=3).flatten(0, 1)[:, None] for x in (places, share))
    seen = functional.grid_sample(moves.flatten(0, 1), places, padding_mode="border", align_corners=False)
    return functional.grid_sample(parabolas(seen), share, align_corners=True).unflatten(0, moves.shape[:2])
