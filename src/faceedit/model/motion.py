"""How landmarks move with affect, and what mouths that open show: averages of the training photos.

`landmarks` (N, K, 2) as `landmarks.Landmarker` finds them; `source` and `target` affect (N, 2) = valence, arousal.
"""

import torch
from torch import nn
from torch.nn import functional

from faceedit.model.landmarks import LOWER_LIDS, NOSE_TIP, POINTS, STILL, TEMPLES, UPPER_LIDS, places
from faceedit.model.lips import GRID, LOWER, MIDDLE, UPPER, corners, curves, heights, state
from faceedit.model.palette import risen

AT_REST, AT_TIP, AT_TEMPLES = (places(points) for points in (STILL, NOSE_TIP, TEMPLES))
POWERS, TERMS = 10, 33  # of affect; and with what a pose brings
HABIT = 0.3  # of how far lips are apart beyond the average stays after a way of FAR and more
FAR = 0.5
OPEN_LIDS = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes
MOST_TURNED = 2.0  # standard deviations of the photos: what turned further moves alike
# What is brighter than this, on average, is teeth, and near the lower lip, which is bright itself, that much more; how
# sure that makes.
TEETH, TEETH_BELOW, SURE = 0.52, 0.14, 12.0
DEEP = 4.0  # pixels, beyond which depths are alike
# Averages added to one face may cross what opens and closes: of each opening, this share stays.
OPEN_ABOVE, OPEN_BELOW = UPPER[1:-1] + places(UPPER_LIDS), LOWER[1:-1] + places(LOWER_LIDS)
STAYS_OPEN = [0.0] * len(UPPER[1:-1]) + [OPEN_LIDS] * len(UPPER_LIDS)


class Motion(nn.Module):
    """Where the landmarks of a face lie at another affect.

    Each face is brought to the mean face by what no expression moves; there a cubic polynomial of affect, whose
    coefficients depend on how far a face is turned to the side and up, says where landmarks lie on average. People
    differ, but an average of thousands has no person in it: its change from one affect to another is the expression's,
    as it looks from there. Only how far lips part is less a person's than a mood's, of which averages mix several: who
    smiles with closed lips gapes in surprise like all others. What open mouths show is such a polynomial too, of affect
    alone. Nothing of it is learnt by gradients: `train.geometry.fit` fits it.

    mean: (K, 2). poses: (2, 2), the mean pose and its spread. course: (TERMS, K, 2), the polynomial. parted: (K, 2),
    what moves with lips that part, for each unit. shown: (POWERS, *GRID), from 0, dark, to 1, teeth.
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
        self.register_buffer("course", torch.zeros(TERMS, count, 2))
        self.register_buffer("parted", torch.zeros(count, 2))
        self.register_buffer("shown", torch.zeros(POWERS, *GRID))

    def forward(self, before: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Where landmarks lie at the target, (N, K, 2), that lie there at the source."""
        with torch.autocast(before.device.type, enabled=False):
            points, turn = as_complex(before), turn_to(before, self.mean)
            mean, spread = self.poses
            pose = ((poses(points * turn[:, None]) - mean) / spread).clamp(-MOST_TURNED, MOST_TURNED)
            terms = turned(torch.cat([source, target]), pose.repeat(2, 1))
            here, there = as_complex((terms @ self.course.flatten(1)).unflatten(1, (-1, 2))).chunk(2)
            # Open mouths shift what tells how far a face is turned up: averages for such a turn would hardly part lips.
            was, will_be = (terms[:, :POWERS] @ apart(as_complex(self.course[:POWERS]))).chunk(2)
            beyond = apart(points * turn[:, None]) - apart(as_complex(self.mean)) - was
            gone = (1 - HABIT) * risen((target - source).norm(dim=1), 0, FAR)
            wider = will_be - was - gone * beyond - apart(there - here)
            way = there - here + wider[:, None] * as_complex(self.parted)
            after = before + torch.view_as_real(way / turn[:, None])
        gap, was = ((points[:, OPEN_BELOW] - points[:, OPEN_ABOVE])[..., 1] for points in (after, before))
        short = (before.new_tensor(STAYS_OPEN) * was.clamp(min=0) - gap).clamp(min=0) / 2
        after[:, OPEN_ABOVE, 1] -= short
        after[:, OPEN_BELOW, 1] += short
        return after

    def mouths(
        self,
        after: torch.Tensor,
        kept: tuple[torch.Tensor, torch.Tensor],
        target: torch.Tensor,
        size: int,
        rows: slice,
        columns: slice,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What is to be drawn in mouths, for rows and columns of crops of a size: how deep each pixel lies in them, and
        the logits of its being teeth, (N, 1, H, W) each.

        after: the landmarks. kept: see `kept_edge`; below it, mouths are drawn, without further teeth.
        """
        edge, counts = kept
        down, across = ((torch.arange(x.start, x.stop, device=after.device) + 0.5) / size for x in (rows, columns))
        across = across.expand(len(after), -1)
        upper, lower, lowest = heights(torch.cat([curves(after), edge[:, None]], dim=1), across).unbind(1)
        left, right = corners(after)
        # Half a pixel lies on the edge, and closed lips have none.
        closed = (after[:, LOWER[MIDDLE], 1] - edge[:, MIDDLE, 1]) * size
        drawn = (
            size * _inside(lowest, lower, (left, right), across, down) + ((closed - 0.5).clamp(0, 1) / 2)[:, None, None]
        )

        with torch.autocast(after.device.type, enabled=False):
            shown = (powers(target) @ self.shown.flatten(1)).unflatten(1, (1, *GRID))
        down = (down[:, None] - upper) / (lower - upper).clamp(min=0.5 / size)
        across = ((across - left) / (right - left))[:, None].expand_as(down)
        places = torch.stack([across, down], dim=3).clamp(0, 1) * 2 - 1
        shown = functional.grid_sample(shown, places, padding_mode="border", align_corners=False)
        least_shown = TEETH + TEETH_BELOW * down.clamp(0, 1).square() + counts[:, None, None]
        return drawn[:, None], (shown - least_shown[:, None]) * SURE


def as_complex(points: torch.Tensor) -> torch.Tensor:
    """Points (..., 2) as complex numbers (...): w = a·z + b moves, turns and scales them."""
    return torch.view_as_complex(points.contiguous())


def turn_to(landmarks: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """By which complex number (N,) landmarks are to be turned and scaled to lie as those of the mean face (K, 2)."""
    here, there = as_complex(landmarks)[:, AT_REST], as_complex(mean)[AT_REST]
    here, there = here - here.mean(1, keepdim=True), there - there.mean()
    return (here.conj() * there).sum(1) / here.abs().square().sum(1)


def poses(points: torch.Tensor) -> torch.Tensor:
    """How far faces whose landmarks (N, K) are upright are turned to the side and up, (N, 2)."""
    return torch.view_as_real(points[:, AT_TIP].mean(1) - points[:, AT_TEMPLES].mean(1))


def powers(affect: torch.Tensor) -> torch.Tensor:
    """(N, 10), all products of up to three of valence, arousal."""
    v, a = affect.unbind(1)
    return torch.stack([v**i * a**j for i in range(4) for j in range(4 - i)], dim=1)


def turned(affect: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """(N, 33): the powers of affect (N, 2), each with pose (N, 2) too; and the squares of pose, which the fit needs."""
    straight, (aside, up) = powers(affect), pose[..., None].unbind(1)
    return torch.cat([straight, aside * straight, up * straight, aside**2, aside * up, up**2], dim=1)


def apart(points: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, of complex landmarks (..., K): (...)."""
    return (points[..., LOWER[MIDDLE]] - points[..., UPPER[MIDDLE]]).imag


def kept_edge(before: torch.Tensor, after: torch.Tensor, teeth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the teeth that lips show already reach when they open: their lower edge (N, P, 2), below the upper lip;
    and from 0 to 1 how much that counts, (N,). teeth: (N,), see `lips.bare`.

    Teeth are the upper jaw's and stay where they are, whatever a lip hides or shows of them. What a lower lip reveals
    further down was not to be seen before.
    """
    share = state(before, teeth)[:, 1]
    edge = after[:, UPPER].clone()
    # But for the corners, where lips meet.
    edge[:, 1:-1, 1] += share[:, None] * (before[:, LOWER[1:-1]] - edge[:, 1:-1])[..., 1].clamp(min=0)
    below = after[:, LOWER[MIDDLE], 1] - edge[:, MIDDLE, 1]
    return edge, share * (below > 0)


def depth(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """How far each pixel of crops of a size lies inside the opening of the mouth, (N, S, S) pixels, below 0 outside."""
    centres = (torch.arange(size, device=landmarks.device) + 0.5) / size
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
