"""How landmarks move with affect, and what mouths that open show: averages of the training photos.

`landmarks` (N, K, 2) as `landmarker.Landmarker` finds them; `source` and `target` affect (N, 2) = valence, arousal.
"""

from dataclasses import dataclass

import torch
from torch import nn

from faceedit.models.landmarker import BROWS, LOWER_LIDS, NOSE_TIP, POINTS, STILL, TEMPLES, UPPER_LIDS, point_indices
from faceedit.models.layers import mixed
from faceedit.models.lips import GRID, LOWER, MIDDLE, UPPER
from faceedit.models.sampling import constant, linear_ramp


@dataclass(frozen=True)
class MotionSettings:
    """Numbers set by hand, and where each comes from."""

    # Of how far lips are apart beyond the average, this share stays after a way of `far` and more. By eye: who smiles
    # with closed lips gapes in surprise like all others.
    habit: float = 0.3
    far: float = 0.5
    # Times what averages say of brows and lids, which photos of one affect differ in. In those that classifiers find
    # plain, with a probability above 0.6, lids have gone 1.9 times as far (surprise, fear, grief) and brows 1.6 times
    # (surprise, anger).
    emphasis: float = 1.7
    open_lids: float = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes; by eye
    max_turn: float = 2.0  # standard deviations of the photos: what turned further moves alike; by eye
    # Shares of the crop's side: lips that come closer than the second close by up to the first, as the few that gape
    # part the average ones. Set on 100 validation crops, in which closing lips left a slit.
    nearly_closed: tuple[float, float] = (0.012, 0.03)


MOTION = MotionSettings()
AT_REST, AT_TIP, AT_TEMPLES = (tuple(point_indices(points)) for points in (STILL, NOSE_TIP, TEMPLES))
EXPONENTS = tuple((float(i), float(j)) for i in range(4) for j in range(4 - i))  # of valence, arousal
POWERS = len(EXPONENTS)  # of affect
EMPHASIS = tuple(MOTION.emphasis if point in BROWS + UPPER_LIDS + LOWER_LIDS else 1.0 for point in POINTS)
# Points above and below what opens and closes, lips and then lids; how much of each opening stays; by how much it
# closes where it nearly does.
OPEN_ABOVE, OPEN_BELOW = (*UPPER[1:-1], *point_indices(UPPER_LIDS)), (*LOWER[1:-1], *point_indices(LOWER_LIDS))
STAYS_OPEN = (0.0,) * len(UPPER[1:-1]) + (MOTION.open_lids,) * len(UPPER_LIDS)
CLOSES = (MOTION.nearly_closed[0],) * len(UPPER[1:-1]) + (0.0,) * len(UPPER_LIDS)


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
        way = constant(EMPHASIS, before.device) * as_complex(mixed(turned(there - here, pose), self.course))
        # Open mouths shift what tells how far a face is turned up: averages for such a turn would hardly part lips.
        parting = apart(as_complex(self.course[:POWERS]))
        beyond = apart(points) - apart(as_complex(self.mean)) - mixed(here, parting)
        gone = (1 - MOTION.habit) * linear_ramp((target - source).norm(dim=1), 0, MOTION.far)
        wider = mixed(there - here, parting) - gone * beyond - apart(way)
        after = before + torch.view_as_real((way + wider[:, None] * as_complex(self.parted)) / turn)
        return keep_openings(before, after)

    def texture(self, target: torch.Tensor) -> torch.Tensor:
        """What open mouths show at the target on average, (N, *GRID) from 0, dark, to 1, teeth."""
        return mixed(powers(target), self.shown)


def keep_openings(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Landmarks (N, K, 2) after a motion, corrected where lips or lids would cross, or nearly close.

    Averages added to one face may cross what opens and closes.
    """
    above, below = (constant(points, before.device) for points in (OPEN_ABOVE, OPEN_BELOW))
    was, gap = (y[:, below] - y[:, above] for y in (before[..., 1], after[..., 1]))
    was = was.clamp(min=0)
    closing = (1 - gap / was.clamp(min=1e-3)).clamp(0, 1) * (1 - linear_ramp(gap, *MOTION.nearly_closed))
    stays, closes = (constant(shares, was.device).to(was) for shares in (STAYS_OPEN, CLOSES))
    short = (torch.maximum(stays * was, gap - closes * closing) - gap) / 2
    after[:, above, 1] -= short
    after[:, below, 1] += short
    return after


def as_complex(points: torch.Tensor) -> torch.Tensor:
    """Points (..., 2) as complex numbers (...): w = a·z + b moves, turns and scales them."""
    return torch.view_as_complex(points.contiguous())


def turn_to(landmarks: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """By which complex number (N,) landmarks are to be turned and scaled to lie as those of the mean face (K, 2)."""
    still = as_complex(torch.cat([landmarks, mean[None]]))[:, constant(AT_REST, mean.device)]
    still = still - still.mean(1, keepdim=True)
    here, there = still[:-1], still[-1]
    return (here.conj() * there).sum(1) / here.abs().square().sum(1)


def poses(points: torch.Tensor) -> torch.Tensor:
    """How far faces whose landmarks (N, K) are upright are turned to the side and up, (N, 2)."""
    tip, temples = (points[:, constant(numbers, points.device)] for numbers in (AT_TIP, AT_TEMPLES))
    return torch.view_as_real(tip.mean(1) - temples.mean(1))


def deviations(pose: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Poses (N, 2) in standard deviations from the mean one, as far as these tell; spread: (2, 2), both of them."""
    mean, deviation = spread
    return ((pose - mean) / deviation).clamp(-MOTION.max_turn, MOTION.max_turn)


def powers(affect: torch.Tensor) -> torch.Tensor:
    """(N, 10), all products of up to three of valence, arousal."""
    return (affect[:, None] ** constant(EXPONENTS, affect.device).to(affect)).prod(2)


def turned(straight: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """The powers of affect (N, 10), and each with pose (N, 2): (N, 30)."""
    aside, up = pose[..., None].unbind(1)
    return torch.cat([straight, aside * straight, up * straight], dim=1)


def apart(points: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, of complex landmarks (..., K): (...)."""
    return (points[..., LOWER[MIDDLE]] - points[..., UPPER[MIDDLE]]).imag
