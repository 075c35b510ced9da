"""How lips move in a flow: they part and meet at once, where networks draw slopes."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from faceedit.models.mouth.settings import MOUTH


@dataclass(frozen=True)
class LipFlow:
    """Where lips are to lie, in columns of crops of a size, and how to move them there.

    upper, lower: (N, 1, W), their inner edges. ends: (N, 1) twice, how far to the right the corners lie. across: (N, W)
    and down: (H,), columns and rows. moves: (N, 2, 2, W), the flow at the edges of the upper and the lower lip.
    """

    upper: torch.Tensor
    lower: torch.Tensor
    ends: tuple[torch.Tensor, torch.Tensor]
    across: torch.Tensor
    down: torch.Tensor
    size: int
    moves: torch.Tensor

    def parted(self, flow: torch.Tensor) -> torch.Tensor:
        """A flow (N, 2, S, S) as lips part and meet, which is at once, in these columns and rows, (N, 2, H, W)."""
        return functional.grid_sample(flow, self._beside(), align_corners=False)

    def missing(self, flow: torch.Tensor) -> torch.Tensor:
        """What a flow (N, 2, S, S) misses of the way of the lips, and less of it further from them, (N, 2, H, W).

        What networks draw of that way is up to a pixel short, and a pixel of crops is many of a photo.
        """
        left, right = self.ends
        edges = torch.cat([self.upper - self._slope, self.lower + self._slope], dim=1)
        within = torch.minimum(torch.maximum(self.across, left), right)[:, None]
        grid = torch.stack([within.expand_as(edges), edges], dim=3) * 2 - 1
        drawn = functional.grid_sample(flow, grid, align_corners=False).float()
        upper, lower = (self.moves - drawn.transpose(1, 2)).unsqueeze(3).unbind(1)  # (N, 2, 1, W) each
        down = self.down[:, None]
        of_upper = (self.size * ((self.upper + self.lower) / 2 - down) + 0.5).clamp(0, 1)
        outside = torch.maximum(self.upper - down, down - self.lower).clamp(min=0)
        far = (outside.square() + self._inwards.clamp(max=0).square()[:, None]) / MOUTH.reach**2
        near = (1 - far).clamp(min=0).square()[:, None]
        return near * torch.lerp(lower, upper, of_upper[:, None])

    @cached_property
    def _inwards(self) -> torch.Tensor:
        """How far each column lies from the next corner, (N, W), below 0 beside the mouth."""
        left, right = self.ends
        return torch.minimum(self.across - left, right - self.across)

    @cached_property
    def _slope(self) -> torch.Tensor:
        """How far from a lip's edge the flow is its own, (N, 1, W): at corners nothing parts."""
        return self._inwards.clamp(0, MOUTH.slope)[:, None]

    def _beside(self) -> torch.Tensor:
        """The place, x and y in [-1, 1], whose flow each place is to have, (N, H, W, 2).

        Lips part and meet at once, where networks draw a slope, in which they stretch or teeth still show. So at an
        edge a lip moves as it does further away, by its slope, and one pixel, over what is drawn, leads to the
        other lip.
        """
        inset = ((self.lower - self.upper) / 2).clamp(0, 1 / self.size)
        slope, down = self._slope + inset, self.down[:, None]
        outside = torch.stack([self.upper - down, down - self.lower]) + inset
        rise = (self.size * outside + 0.5) * (slope - 0.5 / self.size).clamp(min=0)
        up, further = torch.minimum(slope - outside, rise).clamp(min=0)
        return torch.stack([self.across[:, None].expand_as(up), down + further - up], dim=3) * 2 - 1
