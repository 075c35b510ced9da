"""From how landmarks move to a flow of the whole face."""

import torch

from faceedit.models.sampling import bell, pixel_centres

REACH = 0.12  # of the crop's side, the deviation of a Gaussian: how far skin goes with a landmark; by eye
NOISE = 0.1  # of that Gaussian's height: how freely the flow may miss a landmark that moves unlike its neighbours


def landmark_flow(before: torch.Tensor, after: torch.Tensor, size: int) -> torch.Tensor:
    """The smooth flow (N, 2, size, size), in units of half the side, that brings landmarks (N, K, 2) from before
    near to after, and fades out away from them.

    Radial basis functions: Arad, Dyn, Reisfeld and Yeshurun, *Image Warping by Radial Basis Functions: Application to
    Facial Expressions* (CVGIP 1994); with noise as in Gaussian process regression, as two landmarks may ask for
    different moves of one place.
    """
    centres = pixel_centres(size, after.device)
    apart = torch.cdist(after, after, compute_mode="donot_use_mm_for_euclid_dist")  # exact where they meet
    near = bell(apart, REACH) + NOISE * torch.eye(after.shape[1], device=after.device)
    weights = torch.linalg.solve(near.cpu(), 2 * (before - after).cpu()).to(after)  # MPS solves none
    across, down = (bell(x[..., None] - centres, REACH) for x in after.unbind(2))  # (N, K, S)
    return torch.einsum("nkc,nkh,nkw->nchw", weights, down, across)
