"""Lids that move as far as photos show, where convolutions open the eyes of smiling faces twice as wide."""

import torch

from faceedit.models.face_mesh import EYE_CORNERS, LOWER_LIDS, UPPER_LIDS, point_indices
from faceedit.models.sampling import indices, pixel_centres

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


def move_lids(flow: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but around eyes, where it takes lids from their landmarks
    before to those after, (N, K, 2) each."""
    lids = indices(LIDS, flow.device)
    before, after = (points[:, lids].unflatten(1, (2, 2, -1)) for points in (before, after))
    centres = pixel_centres(flow.shape[-1], flow.device)
    x, y = after.unbind(-1)  # (N, eyes, lids, points)
    near = _bell(x[..., None] - centres, ALONG)  # (N, eyes, lids, points, S)
    near = near / near.sum(3, keepdim=True).clamp(min=1e-6)
    upper, lower = (near * y[..., None]).sum(3)[..., None, :].unbind(2)  # (N, eyes, 1, S), a lid's edge in each column
    rows = centres[:, None]
    share = ((rows - upper) / (lower - upper).clamp(min=1e-3)).clamp(0, 1)  # of what the lower lid does
    asked = torch.einsum("nelkx,nelkc->nelcx", near, 2 * (before - after))[..., None, :]
    asked = torch.lerp(asked[:, :, 0], asked[:, :, 1], share[:, :, None])  # (N, eyes, 2, S, S)
    left, right = (edge[..., None] for edge in x.flatten(2).aminmax(dim=2))
    beside = (left - centres).clamp(min=0) + (centres - right).clamp(min=0)
    around = _bell((upper - rows).clamp(min=0), ABOVE) * _bell((rows - lower).clamp(min=0), BELOW)
    around = (around * _bell(beside, BESIDE)[:, :, None])[:, :, None]  # (N, eyes, 1, S, S)
    return flow + (around * (asked - flow[:, None])).sum(1)


def _bell(distance: torch.Tensor, deviation: float) -> torch.Tensor:
    return torch.exp(-((distance / deviation) ** 2) / 2)
