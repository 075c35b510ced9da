"""Losses that several trainers use. Each trainer adds up its own in `train_step`.

In `training.editor`, the loss "cycle" keeps the person: it compares the photo with the way back from its edit. In
`training.caae`, the reconstruction and the perceptual loss do.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add

import torch
from torch.nn import functional


def total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of one or more scalars, as a tensor."""
    return reduce(add, terms)


def bce(logits: torch.Tensor, target: float) -> torch.Tensor:
    """Binary cross-entropy of logits (N, 1) against one target, 0 or 1; a scalar."""
    return functional.binary_cross_entropy_with_logits(
        logits.float(), torch.full_like(logits, target, dtype=torch.float32)
    )
