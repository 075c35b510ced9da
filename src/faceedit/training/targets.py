"""Which target each crop goes to in a step of training an editor."""

import torch
from torch.nn import functional

from faceedit.circumplex import CLASS_MEANS, Affect, Support
from faceedit.data.crops import BalancedSampler, Crops, expression_groups
from faceedit.training.distributed import BatchGenerator

NAMED, AT_PLACE = 0.6, 0.5  # of targets are called by an expression; of these lie where its name means
MAX_REPEATS = 20


class Targets:
    """Targets that never leave the support of the labels: what other crops show, or what an expression's name means.

    places: (E, 2), where on the plane the expressions' names lie, or the nearest supported.
    """

    def __init__(self, crops: Crops, support: Support, batch: int, seed: int, balance: float):
        self.affect, self.probabilities = crops.affect.cpu(), crops.probabilities.cpu()
        self.sampler = BalancedSampler(expression_groups(crops), batch, seed, power=balance, max_repeats=MAX_REPEATS)
        self.places = torch.tensor([support.nearest(Affect(*point)).pair for point in CLASS_MEANS.values()])

    def drawn(
        self, step: int, here: slice, sources: torch.Tensor, target_dim: int, generator: BatchGenerator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The target of each edit of a step, and what its source shows, (N, T) each.

        Some of both are called by an expression, the others by affect alone. sources: the crops' indices (N,). here:
        this process's part of a batch.
        """
        chosen, sources = self.sampler.indices(step)[here], sources.cpu()
        affect, own = self.affect[chosen], self.affect[sources]
        if target_dim == 2:
            return affect, own
        named, at_place, drawn = generator.rand(1) < NAMED, generator.rand(1) < AT_PLACE, generator.rand(1)
        called, own_called = (self._called(x, drawn) * named for x in (chosen, sources))
        there = (at_place & (called > 0).any(1, keepdim=True)).float()
        affect = affect * (1 - there) + called @ self.places * there
        return torch.cat([affect, called], dim=1), torch.cat([own, own_called], dim=1)

    def _called(self, indices: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """One of each crop's expressions, by chance as probable as it is, (N, E) of 0 and 1; none where nothing is
        known of them. drawn: (N, 1) in [0, 1)."""
        chances = self.probabilities[indices]
        called = (chances.cumsum(1) < drawn).sum(1).clamp(max=chances.shape[1] - 1)
        return functional.one_hot(called, chances.shape[1]) * (chances.sum(1, keepdim=True) > 0).float()
