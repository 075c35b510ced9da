"""Jaws whose outline stays smooth, where convolutions that move a mouth dent and lump it."""

import torch
from torch.nn import functional

from faceedit.models.face_mesh import point_indices
from faceedit.models.sampling import bell, indices, parabolas, pixel_centres

# From temple to temple around the chin.
JAW = tuple(point_indices((127, 234, 93, 58, 172, 150, 148, 152, 377, 379, 397, 288, 323, 454, 356)))
BETWEEN = 57  # points along it, four times as close
REACH = 0.05  # of the crop's side, by eye: the deviation of a Gaussian, how far the skin beside a jaw goes with it
ARRIVING, STEP = 6, 0.8  # of a search for a fixed point
NEAREST = 6  # power of the nearness by which points share what is around them: almost that of the nearest alone


def keep_jaw(flow: torch.Tensor, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but at the jaw, which goes from landmarks to landmarks, (N, K,
    2) each, along it by parabolas."""
    was, goal = (_between(points[:, indices(JAW, flow.device)]) for points in (before, after))  # (N, J, 2)
    wanted = parabolas(2 * (was - goal).transpose(1, 2))  # (N, 2, J)
    jaw = goal
    for _ in range(ARRIVING):  # to where the flow would show it, often lower: it must not be seen there too
        jaw = jaw + STEP * (was - jaw - _at(flow, jaw).transpose(1, 2) / 2)
    jaw = torch.cat([goal, jaw], dim=1)
    change = torch.cat([wanted, wanted], dim=2) - _at(flow, jaw)
    centres = pixel_centres(flow.shape[-1], flow.device)
    # Bells to that power are narrower bells, and separable.
    across, down = (bell(x[..., None] - centres, REACH / NEAREST**0.5).to(flow) for x in jaw.unbind(2))  # (N, J, S)
    total = torch.einsum("njh,njw->nhw", down, across)[:, None].clamp(min=1e-30)
    share = torch.einsum("ncj,njh,njw->nchw", change, down, across) / total
    return flow + share * total.pow(1 / NEAREST).clamp(max=1)


def _at(flow: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """The flow at points (N, J, 2), (N, 2, J)."""
    return functional.grid_sample(flow, 2 * points[:, None] - 1, padding_mode="border", align_corners=False)[:, :, 0]


def _between(jaw: torch.Tensor) -> torch.Tensor:
    """Points (N, J, 2) along the landmarks of jaws, (N, P, 2)."""
    return functional.interpolate(jaw.transpose(1, 2), size=BETWEEN, mode="linear", align_corners=True).transpose(1, 2)
