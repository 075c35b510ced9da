"""Lips in a flow: an edge that parts or closes at once, where convolutions produce a slope."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from faceedit.models.mouth.settings import MOUTH


@dataclass(frozen=True)
class LipFlow:
    """The lips after an edit, in rows and columns of crops, and the flow that moves them there.

    upper, lower: (N, 1, W), the y of their inner edges. ends: the x of the corners, (N, 1) each. across: (N, W) and
    down: (H,), x of columns and y of rows; all in shares of the crop's side. size: that side in pixels. moves:
    (N, 2, 2, W), the flow that the edges of the upper and the lower lip need.
    """

    upper: torch.Tensor
    lower: torch.Tensor
    ends: tuple[torch.Tensor, torch.Tensor]
    across: torch.Tensor
    down: torch.Tensor
    size: int
    moves: torch.Tensor

    def discontinuous(self, flow: torch.Tensor) -> torch.Tensor:
        """A flow (N, 2, S, S) made to jump at the lips' edges, in these rows and columns, (N, 2, H, W)."""
        return functional.grid_sample(flow, self._beside(), align_corners=False)

    def missing(self, flow: torch.Tensor) -> torch.Tensor:
        """What a flow (N, 2, S, S) lacks to take lips to their edges, (N, 2, H, W), fading out away from them.

        The networks' flow is up to a pixel short, and a pixel of the crop is many of a photo.
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
        """The distance of each column from the nearer corner, (N, W), below 0 beside the mouth."""
        left, right = self.ends
        return torch.minimum(self.across - left, right - self.across)

    @cached_property
    def _slope(self) -> torch.Tensor:
        """The distance from a lip's edge at which its flow is right, (N, 1, W): 0 at corners, where nothing parts."""
        return self._inwards.clamp(0, MOUTH.slope)[:, None]

    def _beside(self) -> torch.Tensor:
        """For each point, the x and y in [-1, 1] of the point whose flow it gets, (N, H, W, 2).

        In the slope that networks produce between two lips, these stretch, or teeth still show. So the edge of a lip
        gets the flow from further outside, by the slope's width. One pixel, which is inpainted, leads to the other
        lip.
        """
        inset = ((self.lower - self.upper) / 2).clamp(0, 1 / self.size)
        slope, down = self._slope + inset, self.down[:, None]
        outside = torch.stack([self.upper - down, down - self.lower]) + inset
        rise = (self.size * outside + 0.5) * (slope - 0.5 / self.size).clamp(min=0)
        up, further = torch.minimum(slope - outside, rise).clamp(min=0)
        return torch.stack([self.across[:, None].expand_as(up), down + further - up], dim=3) * 2 - 1
