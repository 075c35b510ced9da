"""How landmarks move with affect, and what mouths that open show: averages of the training photos.

`landmarks` (N, K, 2) as `landmarker.Landmarker` finds them; `source` and `target` affect (N, 2) = valence, arousal.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional

from faceedit.models.landmarker import BROWS, LOWER_LIDS, NOSE_TIP, POINTS, STILL, TEMPLES, UPPER_LIDS, places
from faceedit.models.layers import mixed
from faceedit.models.lips import EDGES, GRID, LOWER, MIDDLE, UPPER, corners, curves, kept, opening
from faceedit.models.sampling import heights, middles, risen

AT_REST, AT_TIP, AT_TEMPLES = (torch.tensor(places(points)) for points in (STILL, NOSE_TIP, TEMPLES))
EXPONENTS = torch.tensor([[float(i), float(j)] for i in range(4) for j in range(4 - i)])  # of valence, arousal
POWERS = len(EXPONENTS)  # of affect
HABIT = 0.3  # of how far lips are apart beyond the average stays after a way of FAR and more
FAR = 0.5
# Times what averages say of brows and lids, which photos of one affect differ in. In those that classifiers find plain,
# with a probability above 0.6, lids have gone 1.9 times as far (surprise, fear, grief) and brows 1.6 times (surprise,
# anger).
PLAINER = 1.7
OPEN_LIDS = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes
MOST_TURNED = 2.0  # standard deviations of the photos: what turned further moves alike
# What is brighter than this, on average, is teeth, and near the lower lip, which is bright itself, that much more; how
# sure that makes.
TEETH, TEETH_BELOW, SURE = 0.52, 0.14, 12.0
LINE = 0.85  # pixels, from the middle of a line to its edge
SLOPE = 0.024  # of the crop's side, from a lip's edge to where the flow is its own
REACH = 0.12  # likewise, from a lip's edge to where what the flow misses there is no longer made up for
DEEP = 4.0  # pixels, beyond which depths are alike
# Averages added to one face may cross what opens and closes: of each opening, this share stays. And the few lips that
# gape part the average ones, nearly closed: those that come so close, of the crop's side, close by the first of it.
NEARLY = (0.012, 0.03)
EMPHASIS = torch.ones(len(POINTS))
EMPHASIS[places(BROWS + UPPER_LIDS + LOWER_LIDS)] = PLAINER
OPEN_ABOVE = torch.tensor(UPPER[1:-1] + places(UPPER_LIDS))
OPEN_BELOW = torch.tensor(LOWER[1:-1] + places(LOWER_LIDS))
STAYS_OPEN = torch.tensor([0.0] * len(UPPER[1:-1]) + [OPEN_LIDS] * len(UPPER_LIDS))
CLOSES = torch.tensor([NEARLY[0]] * len(UPPER[1:-1]) + [0.0] * len(UPPER_LIDS))


class Motion(nn.Module):
    """Where the landmarks of a face lie at another affect.

    Each face is brought to the mean face by what no expression moves; there a cubic polynomial of affect, whose
    coefficients depend on how far a face is turned to the side and up, says where landmarks lie on average. People
    differ, but an average of thousands has no person in it: its change from one affect to another is the expression's,
    as it looks from there, made plainer at brows and lids. Only how far lips part is less a person's than a mood's, of
    which averages mix several: who smiles with closed lips gapes in surprise like all others. What open mouths show is
    such a polynomial too, of affect alone. Nothing of it is learnt by gradients: `training.expression.fit` fits it.

    mean: (K, 2). poses: (2, 2), the mean pose and its spread. course: (3 * POWERS, K, 2), the polynomial, by itself and
    with each number of the pose. parted: (K, 2), what moves with lips that part, for each unit. shown: (POWERS, *GRID),
    from 0, dark, to 1, teeth.
    """

    def __init__(self) -> None:
        super().__init__()
        count = len(POINTS)
        anywhere = torch.linspace(0.2, 0.8, count)
        self.mean: torch.Tensor
        self.poses: torch.Tensor
        self.course: torch.Tensor
        self.parted: torch.Tensor
        self.shown: torch.Tensor
        self.register_buffer("mean", torch.stack([anywhere, anywhere.flip(0)], dim=1))
        self.register_buffer("poses", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("course", torch.zeros(3 * POWERS, count, 2))
        self.register_buffer("parted", torch.zeros(count, 2))
        self.register_buffer("shown", torch.zeros(POWERS, *GRID))

    def forward(self, before: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Where landmarks lie at the target, (N, K, 2), that lie there at the source."""
        turn = turn_to(before, self.mean)[:, None]
        points = as_complex(before) * turn
        pose = deviations(poses(points), self.poses)
        here, there = powers(torch.cat([source, target])).chunk(2)
        way = EMPHASIS.to(before.device) * as_complex(mixed(turned(there - here, pose), self.course))
        # Open mouths shift what tells how far a face is turned up: averages for such a turn would hardly part lips.
        parting = apart(as_complex(self.course[:POWERS]))
        beyond = apart(points) - apart(as_complex(self.mean)) - mixed(here, parting)
        gone = (1 - HABIT) * risen((target - source).norm(dim=1), 0, FAR)
        wider = mixed(there - here, parting) - gone * beyond - apart(way)
        after = before + torch.view_as_real((way + wider[:, None] * as_complex(self.parted)) / turn)
        was, gap = (y[:, OPEN_BELOW] - y[:, OPEN_ABOVE] for y in (before[..., 1], after[..., 1]))
        was = was.clamp(min=0)
        closing = (1 - gap / was.clamp(min=1e-3)).clamp(0, 1) * (1 - risen(gap, *NEARLY))
        short = (torch.maximum(STAYS_OPEN.to(was) * was, gap - CLOSES.to(was) * closing) - gap) / 2
        after[:, OPEN_ABOVE, 1] -= short
        after[:, OPEN_BELOW, 1] += short
        return after

    def mouths(
        self,
        before: torch.Tensor,
        after: torch.Tensor,
        share: torch.Tensor,
        target: torch.Tensor,
        size: int,
        rows: slice,
        columns: slice,
    ) -> tuple[torch.Tensor, torch.Tensor, "Lips"]:
        """What is to be drawn in mouths, for rows and columns of crops of a size: how deep each pixel lies in them, and
        the logits of its being teeth, (N, 1, H, W) each; and how the lips move.

        before, after: landmarks. share: (N,), see `lips.kept`. Mouths are drawn below teeth that stay, without further
        ones.
        """
        down, across = (middles(size, after.device)[part] for part in (rows, columns))
        across = across.expand(len(after), -1)
        ends = left, right = corners(after)
        within = torch.minimum(torch.maximum(across, left), right)
        lines = [torch.cat([points, before - after], dim=2)[:, EDGES] for points in (after, before)]
        seen = heights(torch.cat(lines, dim=1), within)  # (N, 4, 3, W): y, and the way to where it was
        upper, lower, _, reach = seen[:, :, :1].unbind(1)
        # Half a pixel lies on the edge, and closed lips have none. But where they have closed, the flow leads from one
        # to the other in a pixel, over what they showed: there a dark line is drawn, as lips have.
        was, gap = (size * opening(points) for points in (before, after))
        shut = (was - 1).clamp(0, 1) * (1 - gap).clamp(min=0)
        edge = (size * below_teeth(before, after, share) - 0.5).clamp(0, 1) / 2
        edge = torch.maximum(edge, LINE * shut)[:, None, None]
        lowest = torch.minimum(_reached(upper, reach, share[:, None, None]), lower)
        drawn = size * _inside(lowest, lower, ends, across, down) + edge
        lips = Lips(upper, lower, ends, across, down, size, 2 * seen[:, :2, 1:])
        shown = mixed(powers(target), self.shown)[:, None]
        down = (down[:, None] - upper) / (lower - upper).clamp(min=0.5 / size)
        across = ((across - left) / (right - left))[:, None].expand_as(down)
        places = torch.stack([across, down], dim=3).clamp(0, 1) * 2 - 1
        shown = functional.grid_sample(shown, places, padding_mode="border", align_corners=False)
        least_shown = TEETH + TEETH_BELOW * down.clamp(0, 1).square() + torch.maximum(share, shut)[:, None, None]
        return drawn[:, None], (shown - least_shown[:, None]) * SURE, lips


@dataclass(frozen=True)
class Lips:
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
        places = torch.stack([within.expand_as(edges), edges], dim=3) * 2 - 1
        drawn = functional.grid_sample(flow, places, align_corners=False).float()
        upper, lower = (self.moves - drawn.transpose(1, 2)).unsqueeze(3).unbind(1)  # (N, 2, 1, W) each
        down = self.down[:, None]
        of_upper = (self.size * ((self.upper + self.lower) / 2 - down) + 0.5).clamp(0, 1)
        outside = torch.maximum(self.upper - down, down - self.lower).clamp(min=0)
        far = (outside.square() + self._inwards.clamp(max=0).square()[:, None]) / REACH**2
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
        return self._inwards.clamp(0, SLOPE)[:, None]

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


def as_complex(points: torch.Tensor) -> torch.Tensor:
    """Points (..., 2) as complex numbers (...): w = a·z + b moves, turns and scales them."""
    return torch.view_as_complex(points.contiguous())


def turn_to(landmarks: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """By which complex number (N,) landmarks are to be turned and scaled to lie as those of the mean face (K, 2)."""
    still = as_complex(torch.cat([landmarks, mean[None]]))[:, AT_REST]
    still = still - still.mean(1, keepdim=True)
    here, there = still[:-1], still[-1]
    return (here.conj() * there).sum(1) / here.abs().square().sum(1)


def poses(points: torch.Tensor) -> torch.Tensor:
    """How far faces whose landmarks (N, K) are upright are turned to the side and up, (N, 2)."""
    return torch.view_as_real(points[:, AT_TIP].mean(1) - points[:, AT_TEMPLES].mean(1))


def deviations(pose: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Poses (N, 2) in standard deviations from the mean one, as far as these tell; spread: (2, 2), both of them."""
    mean, deviation = spread
    return ((pose - mean) / deviation).clamp(-MOST_TURNED, MOST_TURNED)


def powers(affect: torch.Tensor) -> torch.Tensor:
    """(N, 10), all products of up to three of valence, arousal."""
    return (affect[:, None] ** EXPONENTS.to(affect)).prod(2)


def turned(straight: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """The powers of affect (N, 10), and each with pose (N, 2): (N, 30)."""
    aside, up = pose[..., None].unbind(1)
    return torch.cat([straight, aside * straight, up * straight], dim=1)


def apart(points: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, of complex landmarks (..., K): (...)."""
    return (points[..., LOWER[MIDDLE]] - points[..., UPPER[MIDDLE]]).imag


def kept_edge(before: torch.Tensor, after: torch.Tensor, teeth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the teeth that lips show already reach when they open: their lower edge (N, P, 2), below points of the
    upper lip; and from 0 to 1 how much that counts, (N,). teeth: (N,), see `lips.bare`.

    Teeth are the upper jaw's and stay where they are, whatever a lip hides or shows of them, at the sides too when a
    mouth narrows. What a lower lip reveals further down was not to be seen before.
    """
    share = kept(before, teeth)
    across, upper = after[:, EDGES[0]].unbind(2)
    reach, lower = heights(torch.stack([before, after], dim=1)[:, :, EDGES[1]], across)[:, :, 0].unbind(1)
    # But for the corners, where lips meet.
    down = _reached(upper, torch.minimum(reach, lower), share[:, None])
    down = torch.cat([upper[:, :1], down[:, 1:-1], upper[:, -1:]], dim=1)
    return torch.stack([across, down], dim=2), share * (below_teeth(before, after, share) > 0)


def below_teeth(before: torch.Tensor, after: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """How far lips part below the share (N,) of the teeth that stay, in their middle, (N,)."""
    upper, lower, reach = after[:, UPPER[MIDDLE], 1], after[:, LOWER[MIDDLE], 1], before[:, LOWER[MIDDLE], 1]
    return lower - _reached(upper, reach, share)


def _reached(upper: torch.Tensor, reach: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """How low a share of the teeth reaches that reached so low, below an upper lip."""
    return upper + share * (reach - upper).clamp(min=0)


def depth(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """How far each pixel of crops of a size lies inside the opening of the mouth, (N, S, S) pixels, below 0 outside."""
    centres = middles(size, landmarks.device)
    across = centres.expand(len(landmarks), -1)
    upper, lower = heights(curves(landmarks), across).unbind(1)
    return size * _inside(upper, lower, corners(landmarks), across, centres)


def _inside(
    upper: torch.Tensor,
    lower: torch.Tensor,
    ends: tuple[torch.Tensor, torch.Tensor],
    across: torch.Tensor,
    down: torch.Tensor,
) -> torch.Tensor:
    """How far places, in columns across (N, W) and rows down (H,), lie from lines (N, 1, W) above and below them and
    from the ends of these, (N, H, W)."""
    left, right = ends
    beside = torch.minimum(across - left, right - across)[:, None]
    return torch.minimum(torch.minimum(down[:, None] - upper, lower - down[:, None]), beside)
