"""Losses that several trainers use. Each trainer adds up its own in `train_step`.

In `training.editor`, the loss "cycle" keeps the person: it compares the photo with the way back from its edit. In
`training.caae`, the reconstruction and the perceptual loss do.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add

import torch
from torch.nn import functional

MIN_AREA, FOLD_WEIGHT = 0.3, 20.0  # of a pixel, below which it folds; beside the bending energy


def total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of one or more scalars, as a tensor."""
    return reduce(add, terms)


def bce(logits: torch.Tensor, target: float) -> torch.Tensor:
    """Binary cross-entropy of logits (N, 1) against one target, 0 or 1; a scalar."""
    return functional.binary_cross_entropy_with_logits(
        logits.float(), torch.full_like(logits, target, dtype=torch.float32)
    )


def bending_energy(flow: torch.Tensor, mask: torch.Tensor, held: torch.Tensor) -> torch.Tensor:
    """The bending energy of a flow, a scalar: zero for similarity transforms; with a penalty where the flow folds over.

    flow: (N, 2, S, S). mask: (S, S), the share of the flow that moves a photo; where it falls, straight flows stretch
    what they move. held: (N, 1, S, S) in [0, 1], where the flow is to be smooth. Lips may part: what lies between them
    is inpainted.
    """
    deformation = flow * (flow.shape[-1] / 2)  # in pixels
    dx, dy, seen = deformation.diff(dim=3), deformation.diff(dim=2), mask * held
    energy = (seen[..., 1:-1] * dx.diff(dim=3).square()).mean() + (seen[..., 1:-1, :] * dy.diff(dim=2).square()).mean()
    energy = energy + 2 * (seen[..., 1:, 1:] * dx.diff(dim=2).square()).mean()
    # The area that a pixel's content comes from (the Jacobian's determinant). Below 0, features appear twice.
    dx, dy = ((deformation * mask).diff(dim=dim) for dim in (3, 2))
    area = (1 + dx[:, :1, 1:]) * (1 + dy[:, 1:, :, 1:]) - dx[:, 1:, 1:] * dy[:, :1, :, 1:]
    fold_penalty = (held[..., 1:, 1:] * functional.relu(MIN_AREA - area)).mean()
    return energy + FOLD_WEIGHT * fold_penalty + 0.01 * deformation.square().mean()
