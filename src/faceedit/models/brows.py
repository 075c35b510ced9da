"""Brows that keep their thickness, where convolutions press the hair of a frown to a line."""

import torch

from faceedit.models.face_mesh import point_indices
from faceedit.models.sampling import bell, heights, indices, pixel_centres

# The upper and the lower edge of both brows, from left to right: (2 brows, 2 edges, 5 points), flat.
UPPER, LOWER = (70, 63, 105, 66, 107), (46, 53, 52, 65, 55)
UPPER_TOO, LOWER_TOO = (336, 296, 334, 293, 300), (285, 295, 282, 283, 276)
EDGES = tuple(point_indices((*UPPER, *LOWER, *UPPER_TOO, *LOWER_TOO)))
REACH = 0.025  # of the crop's side, by eye: the deviation of a Gaussian, how far the skin beside a brow goes with it


def keep_brows(flow: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but at brows, where it moves all of a column alike, by what it
    moves on average there; after: (N, K, 2), the landmarks that it leads to."""
    edges = after[:, indices(EDGES, flow.device)].unflatten(1, (2, 2, -1))  # (N, brows, edges, points, 2)
    centres = pixel_centres(flow.shape[-1], flow.device)
    left, right = (end[..., None] for end in edges[..., 0].flatten(2).aminmax(dim=2))  # (N, brows, 1)
    columns = torch.minimum(torch.maximum(centres, left), right)  # (N, brows, S)
    upper, lower = heights(edges.flatten(0, 1), columns.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(2)
    rows = centres[:, None]
    near = bell((upper - rows).clamp(min=0), REACH) * bell((rows - lower).clamp(min=0), REACH)
    near, flows = near[:, :, None], flow[:, None]  # (N, brows, 1, S, S); (N, 1, 2, S, S)
    alike = (near * flows).sum(3, keepdim=True) / near.sum(3, keepdim=True).clamp(min=1e-6)
    beside = bell(centres - columns, REACH)[:, :, None, None]
    return flow + (near * beside * (alike - flows)).sum(1)
