"""Lips in a flow: an edge that parts or closes at once, where convolutions produce a slope."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch.nn import functional

from faceedit.models.mouth.settings import MOUTH
from faceedit.models.sampling import constant, linear_ramp


@dataclass(frozen=True)
class LipFlow:
    """The lips after an edit, in rows and columns of crops, and the flow that moves them there.

    upper, lower: (N, 1, W), the y of their inner edges. ends: the x of the corners, (N, 1) each. across: (N, W) and
    down: (H,), x of columns and y of rows; all in shares of the crop's side. size: that side in pixels. moves:
    (N, 2, 2, W), the flow that the edges of the upper and the lower lip need. outside: (N, 2, W), the y of their outer
    edges; outside_moves: (N, 2, 2, W), the flow that those need.
    """

    upper: torch.Tensor
    lower: torch.Tensor
    ends: tuple[torch.Tensor, torch.Tensor]
    across: torch.Tensor
    down: torch.Tensor
    size: int
    moves: torch.Tensor
    outside: torch.Tensor
    outside_moves: torch.Tensor

    def discontinuous(self, flow: torch.Tensor) -> torch.Tensor:
        """A flow (N, 2, S, S) made to jump at the lips' edges, in these rows and columns, (N, 2, H, W)."""
        return functional.grid_sample(flow, self._beside(), align_corners=False)

    def missing(self, flow: torch.Tensor) -> torch.Tensor:
        """What a flow (N, 2, S, S) lacks to take lips to their edges, (N, 2, H, W), fading out away from them.

        The networks' flow is up to a pixel short, and a pixel of the crop is many of a photo.
        """
        lips = (self.moves - self._drawn(flow, self._sloped)).unsqueeze(3)  # (N, 2, 2, 1, W)
        upper, lower = lips.unbind(1)
        down = self.down[:, None]
        of_upper = (self.size * ((self.upper + self.lower) / 2 - down) + 0.5).clamp(0, 1)
        outside = torch.maximum(self.upper - down, down - self.lower).clamp(min=0)
        return self._near(outside)[:, None] * torch.lerp(lower, upper, of_upper[:, None]) + self._outside(flow, lips)

    def uneven(self, flow: torch.Tensor) -> torch.Tensor:
        """What a flow in these rows and columns, (N, 2, H, W), lacks to stretch lips that get thicker evenly between
        their edges: where it does that at one edge, the lip's colour is drawn out into the skin. (N, 2, H, W)."""
        beyond, thick, counts = self._thickness()
        outwards = constant((-1.0, 1.0), thick.device)[:, None]
        was = thick + outwards * (self.outside_moves - self.moves)[:, :, 1] / 2
        counts = counts * linear_ramp(thick / was.clamp(min=1 / self.size), *MOUTH.thicker)
        share = (beyond / thick[:, :, None])[:, :, None]  # (N, 2, 1, H, W), of the way from the inner to the outer edge
        even = torch.lerp(self.moves[:, :, :, None], self.outside_moves[:, :, :, None], share.clamp(0, 1))
        inside = (share > 0) & (share < 1)
        return (inside * counts[:, :, None, None] * (even - flow[:, None])).sum(1)

    def _thickness(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of the upper and the lower lip: how far each pixel lies outwards of the inner edge, (N, 2, H, W); how thick
        they are, (N, 2, W); and how much that counts, not at corners, nor without thickness, (N, 2, W) in [0, 1]."""
        inner = torch.cat([self.upper, self.lower], dim=1)
        outwards = constant((-1.0, 1.0), inner.device)[:, None]
        thick = outwards * (self.outside - inner)
        beyond = outwards[..., None] * (self.down[:, None] - inner[:, :, None])
        counts = (self.size * thick).clamp(0, 1) * self._slope / MOUTH.slope
        return beyond, thick.clamp(min=1 / self.size), counts

    def _outside(self, flow: torch.Tensor, lips: torch.Tensor) -> torch.Tensor:
        """What a flow to which that of the inner edges, lips (N, 2, 2, 1, W), was added lacks at the outer ones."""
        beyond, thick, counts = self._thickness()
        outwards = constant((-1.0, 1.0), thick.device)[:, None]  # of the upper and the lower lip
        drawn = self._drawn(flow, outwards * torch.maximum(outwards * self._sloped, outwards * self.outside))
        lacks = self.outside_moves - drawn - self._near(thick)[:, :, None] * lips[:, :, :, 0]
        lacks = counts[:, :, None] * lacks
        far = (beyond - thick[:, :, None]).clamp(min=0)
        share = (beyond / thick[:, :, None]).clamp(0, 1) * self._near(far.flatten(1, 2)).view_as(beyond)
        return (share[:, :, None] * lacks[:, :, :, None]).sum(1)

    def _drawn(self, flow: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """The flow at edges (N, 2, W), (N, 2, 2, W)."""
        left, right = self.ends
        within = torch.minimum(torch.maximum(self.across, left), right)[:, None]
        grid = torch.stack([within.expand_as(edges), edges], dim=3) * 2 - 1
        return functional.grid_sample(flow, grid, align_corners=False).float().transpose(1, 2)

    def _near(self, distance: torch.Tensor) -> torch.Tensor:
        """How much of a correction is left at distances (N, any, W) from the edge that it is for."""
        far = (distance.square() + self._inwards.clamp(max=0).square()[:, None]) / MOUTH.reach**2
        return (1 - far).clamp(min=0).square()

    @cached_property
    def _inwards(self) -> torch.Tensor:
        """The distance of each column from the nearer corner, (N, W), below 0 beside the mouth."""
        left, right = self.ends
        return torch.minimum(self.across - left, right - self.across)

    @cached_property
    def _slope(self) -> torch.Tensor:
        """The distance from a lip's edge at which its flow is right, (N, 1, W): 0 at corners, where nothing parts."""
        return self._inwards.clamp(0, MOUTH.slope)[:, None]

    @cached_property
    def _sloped(self) -> torch.Tensor:
        """The y of where flows are right, above the upper and below the lower lip's inner edge, (N, 2, W)."""
        return torch.cat([self.upper - self._slope, self.lower + self._slope], dim=1)

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
