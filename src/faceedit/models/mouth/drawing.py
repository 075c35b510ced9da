"""The mouths of an edit: how lips move, and what is drawn between them."""

from functools import cached_property

import torch
from torch.nn import functional

from faceedit.models.lips import (
    distance_inside_lips,
    lip_curves,
    lip_opening,
    mouth_corners,
    opening_below_teeth,
    outer_lip_curves,
    teeth_edge,
)
from faceedit.models.mouth.inside import inside_colour, window
from faceedit.models.mouth.lip_flow import LipFlow
from faceedit.models.mouth.settings import MOUTH
from faceedit.models.palette import sides
from faceedit.models.sampling import heights, pixel_centres


class Mouth:
    """The mouths of faces that an edit opens, closes or moves, drawn in one region of their crops.

    before, after: landmarks (N, K, 2) in shares of the crop's side, now and at the target. teeth: (N,), see
    `lips.kept_teeth`. size: the crops' side in pixels. area: the rows and columns to draw in, `Mouth.region(size)`
    unless given.
    """

    def __init__(
        self,
        before: torch.Tensor,
        after: torch.Tensor,
        teeth: torch.Tensor,
        size: int,
        area: tuple[slice, slice] | None = None,
    ):
        self.before, self.after, self.teeth, self.size = before, after, teeth, size
        self.rows, self.columns = self.region(size) if area is None else area
        down, across = (pixel_centres(size, after.device)[part] for part in (self.rows, self.columns))
        across = across.expand(len(after), -1)
        left, right = mouth_corners(after)
        within = torch.minimum(torch.maximum(across, left), right)
        curves = ((lip_curves, after), (lip_curves, before), (outer_lip_curves, after))
        lines = [torch.cat([of(points), of(before - after)], dim=3) for of, points in curves]
        seen = heights(torch.cat(lines, dim=1), within)  # (N, 6, 3, W): y, and the way to where it was
        upper, lower, _, self.reach, _, _ = seen[:, :, :1].unbind(1)
        y, moves = seen[:, :, 0], 2 * seen[:, :, 1:]
        self.lips = LipFlow(
            upper, lower, (left, right), across, down, size, moves[:, :2], outside=y[:, 4:], outside_moves=moves[:, 4:]
        )

    @staticmethod
    def region(size: int) -> tuple[slice, slice]:
        """The rows and columns of crops of a size where mouths are drawn; their sides are even."""
        left, top, right, bottom = (2 * side for side in sides(MOUTH.box, size // 2))
        return slice(top, bottom), slice(left, right)

    def move_lips(self, flow: torch.Tensor, amount: torch.Tensor | None = None) -> torch.Tensor:
        """A flow (N, 2, S, S) in which lips part and meet at once.

        amount: (N, 1, 1, 1) in [0, 1], how much of `lip_correction` is added; or None for nothing of it.
        """
        moved = self.lips.discontinuous(flow)
        if amount is not None:
            moved = moved + amount * self.lip_correction(flow)
            moved = moved + amount * self.lips.uneven(moved)
        return flow + _padded(moved - flow[..., self.rows, self.columns], self.rows, self.columns, self.size)

    def lip_correction(self, flow: torch.Tensor) -> torch.Tensor:
        """What brings lips from where a flow (N, 2, S, S) takes them to where landmarks lie, (N, 2, H, W)."""
        return self.lips.missing(flow)

    def fields(self, texture: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
        """What `residual` draws, (N, 2, H, W): the signed distance from the mouth's edge in pixels, above 0 inside, and
        the logit of teeth.

        texture: (N, *GRID), what open mouths show at the target, from 0, dark, to 1, teeth. amount: (N, 1, 1, 1) in
        [0, 1]; at 0 no mouth is drawn.
        """
        distance = torch.minimum(
            self.distance().clamp(-MOUTH.max_distance, MOUTH.max_distance), (MOUTH.max_distance + 1) * amount - 1
        )
        return torch.cat([distance, self.teeth_logits(texture)], dim=1)

    def distance(self) -> torch.Tensor:
        """The signed distance from the edge of what is drawn, below kept teeth, in pixels, (N, 1, H, W)."""
        lips, teeth = self.lips, self.teeth[:, None, None]
        # A distance of half a pixel is the edge, and closed lips have none.
        edge = (self.size * opening_below_teeth(self.before, self.after, self.teeth) - 0.5).clamp(0, 1) / 2
        edge = torch.maximum(edge, MOUTH.line * self._shut)[:, None, None]
        top = torch.minimum(teeth_edge(lips.upper, self.reach, teeth), lips.lower)
        return (self.size * distance_inside_lips(top, lips.lower, lips.ends, lips.across, lips.down) + edge)[:, None]

    def teeth_logits(self, texture: torch.Tensor) -> torch.Tensor:
        """The logits of teeth, (N, 1, H, W), for a texture as in `fields`. Below kept teeth there are no others."""
        (left, right), down = self.lips.ends, self.lips.down
        down = (down[:, None] - self.lips.upper) / (self.lips.lower - self.lips.upper).clamp(min=0.5 / self.size)
        across = ((self.lips.across - left) / (right - left))[:, None].expand_as(down)
        grid = torch.stack([across, down], dim=3).clamp(0, 1) * 2 - 1
        shown = functional.grid_sample(texture[:, None], grid, padding_mode="border", align_corners=False)
        needed = MOUTH.teeth + MOUTH.teeth_below * down.clamp(0, 1).square()
        needed = needed + torch.maximum(self.teeth, self._shut)[:, None, None]
        return (shown - needed[:, None]) * MOUTH.teeth_steepness

    @cached_property
    def _shut(self) -> torch.Tensor:
        """How much lips have closed, (N,) in [0, 1]: they meet within a pixel that still shows what was between them.
        A dark line hides it, such as closed lips have."""
        was, gap = (self.size * lip_opening(points) for points in (self.before, self.after))
        return (was - 1).clamp(0, 1) * (1 - gap).clamp(min=0)

    @classmethod
    def residual(cls, colour: torch.Tensor, fields: torch.Tensor, palette: torch.Tensor) -> torch.Tensor:
        """The residual that an edit adds to crops, in the units of images, and its occlusion map, in [0, 1], with a
        sketch of the mouths that fields describe: (N, 4, S, S).

        colour: (N, 3, S, S), what it adds elsewhere. fields: see `fields`. palette: (N, 4, 3).
        """
        size = colour.shape[-1]
        rows, columns = cls.region(size)
        distance, teeth = fields.float().split(1, dim=1)
        occlusion = distance.clamp(0, 1) * window(*distance.shape[2:], distance.device)
        x = pixel_centres(size, distance.device)[columns]
        inside = inside_colour(distance, occlusion, teeth, x, palette, size)
        more = torch.cat([(inside - colour[..., rows, columns]) * occlusion, occlusion], dim=1)
        return functional.pad(colour, (0, 0, 0, 0, 0, 1)) + _padded(more, rows, columns, size)


def _padded(x: torch.Tensor, rows: slice, columns: slice, size: int) -> torch.Tensor:
    """A part of crops with zeros around it, (N, C, size, size)."""
    return functional.pad(x, (columns.start, size - columns.stop, rows.start, size - rows.stop))
