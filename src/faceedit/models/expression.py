"""How landmarks move with affect, and what open mouths show: averages of the training photos.

`landmarks` (N, K, 2) as `landmarker.Landmarker` finds them; `source` and `target` affect (N, 2) = valence, arousal;
`named` (N, E) the weight of each expression that the target is called by, in [0, 1], all zeros where any will do.
"""

from dataclasses import dataclass

import torch
from torch import nn

from faceedit.models.face_mesh import BROWS, LOWER_LIDS, NOSE_TIP, POINTS, STILL, TEMPLES, UPPER_LIDS, point_indices
from faceedit.models.layers import mixed
from faceedit.models.lips import GRID, LOWER, MIDDLE, UPPER
from faceedit.models.sampling import constant, indices, linear_ramp


@dataclass(frozen=True)
class MotionSettings:
    """Numbers set by hand, and where each comes from."""

    # Of how far lips are apart beyond the average, this share stays after a way of `far` and more. By eye: who smiles
    # with closed lips gapes in surprise like all others.
    habit: float = 0.3
    far: float = 0.5
    # Times what averages say of brows, which photos of one affect differ in. In those that classifiers find plain, with
    # a probability above 0.6, they have gone 1.7 to 2.1 times as far (surprise, fear, anger). So have lids, but grief
    # that goes as far looks sleepy.
    emphasis: float = 1.7
    open_lids: float = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes; by eye
    max_turn: float = 2.0  # standard deviations of the photos: what turned further moves alike; by eye
    # Shares of the crop's side: lips that come closer than the second close by up to the first, as the few that gape
    # part the average ones. By eye, on 100 validation crops in which closing lips left a slit.
    nearly_closed: tuple[float, float] = (0.012, 0.03)


MOTION = MotionSettings()
AT_REST, AT_TIP, AT_TEMPLES = (tuple(point_indices(points)) for points in (STILL, NOSE_TIP, TEMPLES))
EXPONENTS = tuple((float(i), float(j)) for i in range(4) for j in range(4 - i))  # of valence, arousal
POWERS = len(EXPONENTS)  # of affect
EMPHASIS = tuple(MOTION.emphasis if point in BROWS else 1.0 for point in POINTS)
# Points above and below what opens and closes, lips and then lids; how much of each opening stays; by how much it
# closes where it nearly does.
OPEN_ABOVE, OPEN_BELOW = (*UPPER[1:-1], *point_indices(UPPER_LIDS)), (*LOWER[1:-1], *point_indices(LOWER_LIDS))
STAYS_OPEN = (0.0,) * len(UPPER[1:-1]) + (MOTION.open_lids,) * len(UPPER_LIDS)
CLOSES = (MOTION.nearly_closed[0],) * len(UPPER[1:-1]) + (0.0,) * len(UPPER_LIDS)


class Motion(nn.Module):
    """Landmarks of a face at another affect, by expression coefficients that are averages of the training photos.

    Each face is aligned to the mean face by points that no expression moves. There a cubic polynomial of affect, whose
    coefficients depend on yaw and pitch, gives the mean landmarks. People differ, but the mean of thousands has no
    identity: its change from one affect to another is the expression's, seen from that pose. It is enlarged at
    brows. How far lips part depends more on a mood than on a person, and a mean mixes several moods: people who
    smile with closed lips open them in surprise like all others. What open mouths show is such a polynomial too, of
    affect alone. `training.expression.fit` fits these coefficients; training moves those of named expressions alone.

    mean: (K, 2), the mean face. pose_statistics: (2, 2), mean and standard deviation of yaw and pitch. coefficients:
    (3 * POWERS, K, 2), alone and times yaw and pitch. lip_coefficients: (K, 2), how landmarks move as lips part by one
    unit. texture_coefficients: (POWERS, *GRID), of what open mouths show, from 0, dark, to 1, teeth.
    expression_coefficients: (E, K, 2), how landmarks of an expression differ from those of all faces of the
    same affect; none where E is 0.
    """

    def __init__(self, expressions: int = 0) -> None:
        super().__init__()
        count = len(POINTS)
        anywhere = torch.linspace(0.2, 0.8, count)
        self.mean: torch.Tensor
        self.pose_statistics: torch.Tensor
        self.coefficients: torch.Tensor
        self.lip_coefficients: torch.Tensor
        self.texture_coefficients: torch.Tensor
        self.register_buffer("mean", torch.stack([anywhere, anywhere.flip(0)], dim=1))
        self.register_buffer("pose_statistics", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("coefficients", torch.zeros(3 * POWERS, count, 2))
        self.register_buffer("lip_coefficients", torch.zeros(count, 2))
        self.register_buffer("texture_coefficients", torch.zeros(POWERS, *GRID))
        self.expression_coefficients = nn.Parameter(torch.zeros(expressions, count, 2)) if expressions else None

    def forward(
        self,
        before: torch.Tensor,
        source: torch.Tensor,
        target: torch.Tensor,
        named: torch.Tensor | None = None,
        parting: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The landmarks (N, K, 2) at the target of faces whose landmarks at the source are `before`, (N, K, 2).

        parting: (N,) in [0, 1], how much of it lips do that would part further; None for all of it.
        """
        turn = similarity_transform(before, self.mean)[:, None]
        points = as_complex(before) * turn
        pose = standard_pose(head_pose(points), self.pose_statistics)
        here, there = powers(torch.cat([source, target])).chunk(2)
        way = constant(EMPHASIS, before.device) * as_complex(mixed(with_pose(there - here, pose), self.coefficients))
        # Open mouths change the landmarks that pitch is read from, and means at such a pitch would hardly part lips.
        gaps = lip_gap(as_complex(self.coefficients[:POWERS]))
        beyond = lip_gap(points) - lip_gap(as_complex(self.mean)) - mixed(here, gaps)
        gone = (1 - MOTION.habit) * linear_ramp((target - source).norm(dim=1), 0, MOTION.far)
        wider = mixed(there - here, gaps) - gone * beyond - lip_gap(way)
        way = way + wider[:, None] * as_complex(self.lip_coefficients)
        if self.expression_coefficients is not None and named is not None:
            way = way + as_complex(mixed(named, self.expression_coefficients.float()))
        if parting is not None:
            further = (lip_gap(points + way) - lip_gap(points)).clamp(min=0)
            way = way - ((1 - parting) * further)[:, None] * as_complex(self.lip_coefficients)
        after = before + torch.view_as_real(way / turn)
        return keep_openings(before, after)

    def texture(self, target: torch.Tensor) -> torch.Tensor:
        """What open mouths show at the target on average, (N, *GRID) from 0, dark, to 1, teeth."""
        return mixed(powers(target), self.texture_coefficients)


def keep_openings(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Landmarks (N, K, 2) after a motion, corrected where lips or lids would cross, or nearly close.

    A mean motion added to one face may make them cross.
    """
    after = after.clone()
    above, below = (indices(points, before.device) for points in (OPEN_ABOVE, OPEN_BELOW))
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


def similarity_transform(landmarks: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """The rotation and scale, as complex numbers (N,), that bring landmarks (N, K, 2) closest to a mean face (K, 2)."""
    still = as_complex(torch.cat([landmarks, mean[None]]))[:, indices(AT_REST, mean.device)]
    still = still - still.mean(1, keepdim=True)
    here, there = still[:-1], still[-1]
    return (here.conj() * there).sum(1) / here.abs().square().sum(1)


def head_pose(points: torch.Tensor) -> torch.Tensor:
    """Yaw and pitch (N, 2) of faces whose complex landmarks (N, K) are upright: from temples to nose tip."""
    tip, temples = (points[:, indices(numbers, points.device)] for numbers in (AT_TIP, AT_TEMPLES))
    return torch.view_as_real(tip.mean(1) - temples.mean(1))


def standard_pose(pose: torch.Tensor, statistics: torch.Tensor) -> torch.Tensor:
    """Poses (N, 2) in standard deviations from the mean, limited. statistics: (2, 2), mean and standard deviation."""
    mean, deviation = statistics
    return ((pose - mean) / deviation).clamp(-MOTION.max_turn, MOTION.max_turn)


def powers(affect: torch.Tensor) -> torch.Tensor:
    """All products of up to three of valence and arousal, (N, 10)."""
    return (affect[:, None] ** constant(EXPONENTS, affect.device).to(affect)).prod(2)


def with_pose(terms: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Powers of affect (N, 10), alone and times yaw and pitch (N, 2): (N, 30)."""
    yaw, pitch = pose[..., None].unbind(1)
    return torch.cat([terms, yaw * terms, pitch * terms], dim=1)


def lip_gap(points: torch.Tensor) -> torch.Tensor:
    """The gap between the lips in their middle, of complex landmarks (..., K): (...), below 0 where they cross."""
    return (points[..., LOWER[MIDDLE]] - points[..., UPPER[MIDDLE]]).imag
