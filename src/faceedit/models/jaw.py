"""Jaws whose outline stays smooth, where convolutions that move a mouth dent and lump it."""

import torch
from torch.nn import functional

from faceedit.models.face_mesh import point_indices
from faceedit.models.sampling import bell, indices, parabolas, pixel_centres

# From temple to temple around the chin.
JAW = tuple(point_indices((127, 234, 93, 58, 172, 150, 148, 152, 377, 379, 397, 288, 323, 454, 356)))
BETWEEN = 57  # points along it, four times as close
REACH = 0.05  # of the crop's side, by eye: the deviation of a Gaussian, how far the skin beside a jaw goes with it
NEAREST = 6  # power of the nearness by which points share what is around them: almost that of the nearest alone


def keep_jaw(flow: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """The flow (N, 2, S, S), in units of half the side, but at the jaw, along which its moves follow a parabola;
    after: (N, K, 2), the landmarks that it leads to."""
    jaw = after[:, indices(JAW, flow.device)].transpose(1, 2)
    jaw = functional.interpolate(jaw, size=BETWEEN, mode="linear", align_corners=True).transpose(1, 2)  # (N, J, 2)
    moves = functional.grid_sample(flow, 2 * jaw[:, None] - 1, padding_mode="border", align_corners=False)[:, :, 0]
    change = parabolas(moves) - moves  # (N, 2, J)
    centres = pixel_centres(flow.shape[-1], flow.device)
    # Bells to that power are narrower bells, and separable.
    across, down = (bell(x[..., None] - centres, REACH / NEAREST**0.5).to(flow) for x in jaw.unbind(2))  # (N, J, S)
    total = torch.einsum("njh,njw->nhw", down, across)[:, None].clamp(min=1e-30)
    share = torch.einsum("ncj,njh,njw->nchw", change, down, across) / total
    return flow + share * total.pow(1 / NEAREST).clamp(max=1)
