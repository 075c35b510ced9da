"""Which latents the mouth inpainter is given: those that an encoder finds in photos, by condition."""

import torch

from faceedit.data.crops import Crops, plane_bins
from faceedit.models.lips import LIPS, between_lips, brightness, lip_opening, upper_teeth_end
from faceedit.models.mouth.inpainter import MouthInpainter, describe, latent_terms, mouth_mask, region
from faceedit.models.palette import palette

CLOSED = 0.02  # of the crop's side: lips closer than that show nothing
SOME = 64  # crops at a time
# Bins of affect with fewer mouths count less, wide mouths more, as there are few. RIDGE is of one term.
FEW, WIDE, RARE, RIDGE = 8, 0.09, 6.0, 1e-4
# Where faces do not smile, or their mouths are as open as this, mouths gape, with dark below the teeth or no teeth, or
# are full of teeth. The mean of both kinds is neither: the full ones count little, and the mean leads as far again, so
# often, away from that of all. By eye.
SMILE, OPEN, FULL, AWAY = 0.4, 0.06, 0.02, 3.0
GAP_BELOW, DARK = 0.6, 0.25  # of the opening, where teeth end; brightness in the middle, from dark to teeth


@torch.no_grad()
def fit_latents(
    inpainter: MouthInpainter, encoder: torch.nn.Module, crops: Crops, landmarks: torch.Tensor, softness: torch.Tensor
) -> None:
    """Fit `latent_mean` and `latent_scale` of an inpainter to the open mouths of crops, if there are any.

    encoder: a MouthEncoder. landmarks (M, K, 2), softness (M,): see `training.measured`.
    """
    means, terms, affects, gapes = [], [], [], []
    size = inpainter.config.image_size
    rows, columns = region(size)
    chosen = torch.nonzero(lip_opening(landmarks) > CLOSED).flatten()
    for some in chosen.split(SOME):
        images, affect = crops.batch(some, str(landmarks.device))
        points = landmarks[some]
        means.append(encoder(images[..., rows, columns].contiguous(), mouth_mask(points, size, 1.0))[0].double())
        terms.append(latent_terms(describe(affect, softness[some], points)))
        affects.append(affect)
        gapes.append(_gapes(images, points))
    if not means:
        return
    found, of, affect = torch.cat(means), torch.cat(terms).double(), torch.cat(affects)
    _, bins, counts = plane_bins(affect).unique(return_inverse=True, return_counts=True)
    opening = lip_opening(landmarks[chosen])
    weight = torch.where(opening > WIDE, RARE, 1.0).double() / counts[bins].clamp(min=FEW)
    mean_of_all, _ = _fit(found, of, weight)
    full = ((affect[:, 0] <= SMILE) | (opening > OPEN)) & ~torch.cat(gapes)
    mean, covariance = _fit(found, of, weight * torch.where(full, FULL, 1.0))
    inpainter.latent_mean.copy_(mean + AWAY * (mean - mean_of_all))
    inpainter.latent_scale.copy_(torch.linalg.cholesky(covariance))


def _gapes(images: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    """Whether the mouths of crops show something dark below their teeth, or no teeth, (N,)."""
    seen = between_lips(images, landmarks)
    middle = brightness(seen, palette(images))[..., *LIPS.front_teeth].mean((1, 2))
    return (upper_teeth_end(seen) < GAP_BELOW) | (middle < DARK)


def _fit(found: torch.Tensor, of: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (M, Z) by least squares from their terms (M, T), weighted (M,): what they are of these, (T, Z), and the
    covariance (Z, Z) of the rest."""
    weight = (weight / weight.mean())[:, None]
    ridge = RIDGE * len(of) * torch.eye(of.shape[1], dtype=of.dtype, device=of.device)
    mean = torch.linalg.solve(of.T @ (weight * of) + ridge, of.T @ (weight * found))
    rest = found - of @ mean
    return mean, rest.T @ (weight * rest) / weight.sum() + 1e-6 * torch.eye(rest.shape[1]).to(rest)
