"""From how landmarks move to a flow of the whole face."""

import torch

from faceedit.models.sampling import bell, pixel_centres

REACH = 0.12  # of the crop's side, the deviation of a Gaussian: how far skin goes with a landmark; by eye
NOISE = 0.1  # of the variance that Gaussian has at a landmark: how little one that moves unlike its neighbours counts


def landmark_flow(before: torch.Tensor, after: torch.Tensor, size: int) -> torch.Tensor:
    """The smooth flow (N, 2, size, size), in units of half the side, that takes landmarks from before to after,
    (N, K, 2) each, and fades out away from them.

    Radial basis functions: Arad, Dyn, Reisfeld and Yeshurun, *Image Warping by Radial Basis Functions: Application to
    Facial Expressions* (CVGIP 1994); with noise as in Gaussian process regression, as two landmarks may ask for
    different moves of one place.
    """
    centres = pixel_centres(size, after.device)
    near = bell(torch.cdist(after, after), REACH) + NOISE * torch.eye(after.shape[1], device=after.device)
    weights = torch.linalg.solve(near.cpu(), 2 * (before - after).cpu()).to(after)  # MPS solves none
    across, down = (bell(x[..., None] - centres, REACH) for x in after.unbind(2))  # (N, K, S)
    return torch.einsum("nkc,nkh,nkw->nchw", weights, down, across)
