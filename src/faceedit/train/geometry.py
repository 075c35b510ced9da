"""Where landmarks go when an expression changes: where they go, on average, in the training photos."""

import torch

from faceedit.model.landmarks import (
    BROWS,
    IRISES,
    LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    POINTS,
    STILL,
    UPPER_LIDS,
    UPPER_LIP,
    mirrored,
    places,
)
from faceedit.train.data import plane_bins

FEW = 20  # photos in a bin of the affect plane, below which they count for less than a whole bin
RIDGE = 1e-2  # beside some forty bins
OPEN_LIDS = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes
COMPLEX = torch.complex64
UPPER, LOWER = places(UPPER_LIP), places(LOWER_LIP)
MIDDLE = len(UPPER) // 2
# Averages added to one face may cross what opens and closes: of each opening, this share stays.
OPENINGS = ((UPPER, LOWER, 0.0), (places(UPPER_LIDS), places(LOWER_LIDS), OPEN_LIDS))


class Geometry:
    """The landmarks of M crops, and how they move with affect.

    landmarks: (M, K, 2) as shares of the crop's side. Each face is brought to the mean face by what no expression
    moves; there a cubic polynomial of affect is fitted to where its landmarks lie, all bins of the plane alike. People
    differ, but an average of thousands has no person in it: its change from one affect to another is the expression's.
    """

    def __init__(self, landmarks: torch.Tensor, affect: torch.Tensor, device: str):
        points = torch.view_as_complex(landmarks.double().contiguous())  # (M, K), as w = a·z + b moves, turns, scales
        mean = points.mean(0)
        still = places(STILL)
        here, there = points[:, still], mean[still]
        here, there = here - here.mean(1, keepdim=True), there - there.mean()
        turn = (here.conj() * there).sum(1) / here.abs().square().sum(1)  # (M,) a
        level = turn[:, None] * (points - points[:, still].mean(1, keepdim=True)) + mean[still].mean()
        both = torch.cat([level, torch.view_as_complex(mirrored(torch.view_as_real(level)).contiguous())])
        bins, counts = torch.unique(plane_bins(affect), return_inverse=True, return_counts=True)[1:]
        weight = (1 / counts.clamp(min=FEW)[bins]).double().repeat(2)[:, None]
        powers = _powers(affect.double()).repeat(2, 1)
        normal = powers.T @ (weight * powers) + RIDGE * torch.eye(powers.shape[1], dtype=torch.float64)
        sums = powers.T.to(both.dtype) @ (weight * (both - mean))
        course = torch.linalg.solve(normal.to(both.dtype), sums)  # (10, K)
        self.landmarks, self.turn, self.course = (
            landmarks.to(device),
            turn.to(COMPLEX).to(device),
            course.to(COMPLEX).to(device),
        )

    def moved(
        self, indices: torch.Tensor, mirror: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The landmarks (N, K, 2) of these crops, mirrored where (N,) says so, and where they lie at the target."""
        way = (_powers(target) - _powers(source)).to(COMPLEX) @ self.course
        before, turn = self.landmarks[indices], self.turn[indices]
        before = torch.where(mirror[:, None, None], mirrored(before), before)
        turn = torch.where(mirror, turn.conj(), turn)
        after = before + torch.view_as_real(way / turn[:, None])
        for upper, lower, least in OPENINGS:
            gap, was = ((points[:, lower] - points[:, upper])[..., 1] for points in (after, before))
            short = (least * was.clamp(min=0) - gap).clamp(min=0) / 2
            after[:, upper, 1] -= short
            after[:, lower, 1] += short
        return before, after


def _powers(affect: torch.Tensor) -> torch.Tensor:
    """(N, 10), all products of up to three of valence, arousal."""
    v, a = affect.unbind(1)
    return torch.stack([v**i * a**j for i in range(4) for j in range(4 - i)], dim=1)


def worth() -> torch.Tensor:
    """What each landmark (K,) counts for, 1 in the mean: most at the mouth."""
    worths = torch.ones(len(POINTS))
    worths[places(UPPER_LIDS + LOWER_LIDS + BROWS + IRISES)] = 2
    worths[places(LIPS + UPPER_LIP + LOWER_LIP)] = 3
    return worths / worths.mean()


def opening(landmarks: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, (N,) shares of the crop's side."""
    return (landmarks[:, LOWER[MIDDLE]] - landmarks[:, UPPER[MIDDLE]])[:, 1].clamp(min=0)


def between_lips(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """(N, S, S) from 0 to 1: what lies in the opening of the mouth."""
    device = landmarks.device
    centres = (torch.arange(size, device=device) + 0.5) / size
    columns = centres.expand(len(landmarks), -1).contiguous()
    edges = []
    for lip in (UPPER, LOWER):
        x, y = landmarks[:, lip].unbind(2)
        x = x + 1e-4 * torch.arange(len(lip), device=device)
        x = x.cummax(dim=1).values.contiguous()  # rising, as it should be
        right = torch.searchsorted(x, columns).clamp(1, len(lip) - 1)
        (x0, x1), (y0, y1) = ((values.gather(1, right - 1), values.gather(1, right)) for values in (x, y))
        edges.append(y0 + (columns - x0) / (x1 - x0) * (y1 - y0))
        within = (columns > x[:, :1]) & (columns < x[:, -1:])
    upper, lower = (edge[:, None] for edge in edges)
    rows = centres[:, None]
    depth = torch.minimum(rows - upper, lower - rows) * size + 0.5  # in pixels, half of which lie on the edge
    return depth.clamp(0, 1) * within[:, None]
