"""Where landmarks go when an expression changes: where they go, on average, in the training photos."""

import torch
from torch.nn import functional

from faceedit.model.landmarks import (
    BROWS,
    IRISES,
    LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    NOSE_TIP,
    POINTS,
    STILL,
    TEMPLES,
    UPPER_LIDS,
    UPPER_LIP,
    mirrored,
    places,
)
from faceedit.model.warp import palette, risen
from faceedit.train.data import plane_bins

FEW = 20  # photos in a bin of the affect plane, below which they count for less than a whole bin
RIDGE = 1e-2  # beside some forty bins
OPEN_LIDS = 0.3  # of an eye's opening stays: averages know nothing of narrow eyes
COMPLEX = torch.complex64
GRID = (12, 32)  # points between the lips, down and across
LEAST_OPENING = 0.03  # of the crop's side, below which there is nothing to see
# What is brighter than this, on average, is teeth, and near the lower lip, which is bright itself, that much more; how
# sure that makes.
TEETH, TEETH_BELOW, SURE = 0.52, 0.14, 12.0
KEPT = (0.02, 0.04)  # of the crop's side: lips that far apart show teeth worth keeping, and all of them worth it
BARE = (-0.15, 0.15)  # from a lip's colour to that of teeth, likewise: about half the mouths at 0 show teeth
BITE = (slice(2, 8), slice(10, 22))  # of GRID, where front teeth are
DEEP = 4.0  # pixels, beyond which depths are alike
MOST_TURNED = 2.0  # standard deviations of the photos: what turned further moves alike
UPPER, LOWER = places(UPPER_LIP), places(LOWER_LIP)
MIDDLE = len(UPPER) // 2
# Averages added to one face may cross what opens and closes: of each opening, this share stays.
OPENINGS = ((UPPER, LOWER, 0.0), (places(UPPER_LIDS), places(LOWER_LIDS), OPEN_LIDS))


class Geometry:
    """The landmarks of M crops, how they move with affect, and what it shows between the lips.

    landmarks: (M, K, 2) as shares of the crop's side. shown: (M, *GRID), bare: (M,), see `teeth`. Each face is brought
    to the mean face by what no expression moves; there a cubic polynomial of affect, whose coefficients depend on how
    far a face is turned to the side and up, is fitted to where its landmarks lie, all bins of the plane alike. People
    differ, but an average of thousands has no person in it: its change from one affect to another is the expression's,
    as it looks from there. What open mouths show is such a polynomial too, of affect alone.
    """

    def __init__(
        self, landmarks: torch.Tensor, shown: torch.Tensor, bare: torch.Tensor, affect: torch.Tensor, device: str
    ):
        points = torch.view_as_complex(landmarks.double().contiguous())  # (M, K), as w = a·z + b moves, turns, scales
        mean = points.mean(0)
        still = places(STILL)
        here, there = points[:, still], mean[still]
        here, there = here - here.mean(1, keepdim=True), there - there.mean()
        turn = (here.conj() * there).sum(1) / here.abs().square().sum(1)  # (M,) a
        level = turn[:, None] * (points - points[:, still].mean(1, keepdim=True)) + mean[still].mean()
        both = torch.cat([level, torch.view_as_complex(mirrored(torch.view_as_real(level)).contiguous())])
        pose = torch.view_as_real(both[:, places(NOSE_TIP)].mean(1) - both[:, places(TEMPLES)].mean(1))  # (2 M, 2)
        pose = ((pose - pose.mean(0)) / pose.std(0).clamp(min=1e-6)).clamp(-MOST_TURNED, MOST_TURNED)
        everyone = affect.double().repeat(2, 1)
        course = _fit(both - mean, _turned(everyone, pose), everyone)
        apart = opening(landmarks) > LEAST_OPENING
        shown = (shown + shown.flip(2))[apart].flatten(1) / 2
        affect = affect[apart].double()
        self.shown = _fit(shown.double(), _powers(affect), affect).float().to(device)
        self.landmarks, self.pose = landmarks.to(device), pose[: len(points)].float().to(device)
        self.turn, self.course = turn.to(COMPLEX).to(device), course.to(COMPLEX).to(device)
        self.bare = bare.to(device)

    def moved(
        self, indices: torch.Tensor, mirror: torch.Tensor, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The landmarks (N, K, 2) of these crops, mirrored where (N,) says so, and where they lie at the target."""
        before, turn, pose = self.landmarks[indices], self.turn[indices], self.pose[indices]
        pose = torch.where(mirror[:, None], pose * pose.new_tensor([-1, 1]), pose)
        way = (_turned(target, pose) - _turned(source, pose)).to(COMPLEX) @ self.course
        before = torch.where(mirror[:, None, None], mirrored(before), before)
        turn = torch.where(mirror, turn.conj(), turn)
        after = before + torch.view_as_real(way / turn[:, None])
        for upper, lower, least in OPENINGS:
            gap, was = ((points[:, lower] - points[:, upper])[..., 1] for points in (after, before))
            short = (least * was.clamp(min=0) - gap).clamp(min=0) / 2
            after[:, upper, 1] -= short
            after[:, lower, 1] += short
        return before, after

    def mouths(
        self,
        before: torch.Tensor,
        after: torch.Tensor,
        kept: tuple[torch.Tensor, torch.Tensor],
        target: torch.Tensor,
        size: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is to be drawn in mouths that open, for crops of a size: how deep each pixel lies in them, and the
        logits of its being teeth; and where lips part or meet, from 0 to 1. Each (N, 1, S, S).

        before, after: see `moved`. kept: see `kept_edge`; below it, mouths are drawn, without further teeth.
        """
        below = after.clone()
        below[:, UPPER], counts = kept
        # Half a pixel lies on the edge, and closed lips have none.
        drawn = depth(below, size) + ((size * opening(below) - 0.5).clamp(0, 1) / 2)[:, None, None]
        open_ = (size * torch.maximum(opening(before), opening(after)) / 2).clamp(max=1)
        parts = (depth(after, size) + 2).clamp(0, 1) * open_[:, None, None]

        shown = (_powers(target) @ self.shown).unflatten(1, (1, *GRID))
        centres = (torch.arange(size, device=after.device) + 0.5) / size
        columns = centres.expand(len(after), -1)
        upper, lower = _edges(after, columns)
        left, right = after[:, UPPER[0], :1], after[:, UPPER[-1], :1]
        across = ((columns - left) / (right - left))[:, None].expand(-1, size, -1)
        down = (centres[:, None] - upper) / (lower - upper).clamp(min=0.5 / size)
        places = torch.stack([across, down], dim=3).clamp(0, 1) * 2 - 1
        shown = functional.grid_sample(shown, places, padding_mode="border", align_corners=False)
        least_shown = TEETH + TEETH_BELOW * down.clamp(0, 1).square()
        least_shown = least_shown + counts[:, None, None]
        return drawn[:, None], (shown - least_shown[:, None]) * SURE, parts[:, None]


def _fit(values: torch.Tensor, terms: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
    """The coefficients (T, P) of terms (M, T) that bring them closest to values (M, P), all bins of affect alike."""
    bins, counts = torch.unique(plane_bins(affect), return_inverse=True, return_counts=True)[1:]
    weight = (1 / counts.clamp(min=FEW)[bins]).double()[:, None]
    normal = terms.T @ (weight * terms) + RIDGE * torch.eye(terms.shape[1], dtype=torch.float64)
    return torch.linalg.solve(normal.to(values.dtype), terms.T.to(values.dtype) @ (weight * values))


def _powers(affect: torch.Tensor) -> torch.Tensor:
    """(N, 10), all products of up to three of valence, arousal."""
    v, a = affect.unbind(1)
    return torch.stack([v**i * a**j for i in range(4) for j in range(4 - i)], dim=1)


def _turned(affect: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """(N, 33): the powers of affect (N, 2), each with pose (N, 2) too; and the squares of pose, which the fit needs."""
    powers, (aside, up) = _powers(affect), pose[..., None].unbind(1)
    return torch.cat([powers, aside * powers, up * powers, aside**2, aside * up, up**2], dim=1)


def worth() -> torch.Tensor:
    """What each landmark (K,) counts for, 1 in the mean: most at the mouth."""
    worths = torch.ones(len(POINTS))
    worths[places(UPPER_LIDS + LOWER_LIDS + BROWS + IRISES)] = 2
    worths[places(LIPS + UPPER_LIP + LOWER_LIP)] = 3
    return worths / worths.mean()


def kept_edge(before: torch.Tensor, after: torch.Tensor, bare: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the teeth that lips show already reach when they open: their lower edge (N, P, 2), below the upper lip;
    and from 0 to 1 how much that counts, (N,). bare: (N,), see `teeth`.

    Teeth are the upper jaw's and stay where they are, whatever a lip hides or shows of them. What a lower lip reveals
    further down was not to be seen before.
    """
    share = risen(opening(before), *KEPT) * risen(bare, *BARE)
    edge = after[:, UPPER].clone()
    edge[..., 1] += share[:, None] * (before[:, LOWER] - edge)[..., 1].clamp(min=0)
    below = after[:, LOWER[MIDDLE], 1] - edge[:, MIDDLE, 1]
    return edge, share * (below > 0)


def opening(landmarks: torch.Tensor) -> torch.Tensor:
    """How far the lips are apart in their middle, (N,) shares of the crop's side."""
    return (landmarks[:, LOWER[MIDDLE]] - landmarks[:, UPPER[MIDDLE]])[:, 1].clamp(min=0)


def depth(landmarks: torch.Tensor, size: int) -> torch.Tensor:
    """How far each pixel of crops of a size lies inside the opening of the mouth, (N, S, S) pixels, below 0 outside."""
    centres = (torch.arange(size, device=landmarks.device) + 0.5) / size
    columns = centres.expand(len(landmarks), -1)
    upper, lower = _edges(landmarks, columns)
    x = landmarks[:, UPPER, 0]
    beside = torch.minimum(columns - x[:, :1], x[:, -1:] - columns)[:, None]
    rows = centres[:, None]
    return size * torch.minimum(torch.minimum(rows - upper, lower - rows), beside)


def _edges(landmarks: torch.Tensor, columns: torch.Tensor) -> list[torch.Tensor]:
    """How high the lips' inner edges lie in columns (N, W): the upper one's, the lower one's, (N, 1, W) each."""
    heights = []
    for lip in (UPPER, LOWER):
        x, y = landmarks[:, lip].unbind(2)
        # Rising, as it should be, and strictly: the network that finds landmarks errs in some photos.
        x = (x.cummax(dim=1).values + 1e-4 * torch.arange(len(lip), device=x.device)).contiguous()
        right = torch.searchsorted(x, columns.contiguous()).clamp(1, len(lip) - 1)
        (x0, x1), (y0, y1) = ((values.gather(1, right - 1), values.gather(1, right)) for values in (x, y))
        heights.append((y0 + (columns - x0) / (x1 - x0) * (y1 - y0))[:, None])
    return heights


def teeth(images: torch.Tensor, landmarks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What shows between the lips of crops (N, 3, S, S).

    From 0, the dark, to 1, teeth, by its brightness: (N, *GRID), from the upper lip to the lower one and from corner to
    corner. And whether it is teeth, in its middle, by its colour: (N,), 0 as the lips', 1 as teeth.
    """
    down, across = ((torch.arange(count, device=images.device) + 0.5) / count for count in GRID)
    left, right = landmarks[:, UPPER[0], :1], landmarks[:, UPPER[-1], :1]
    columns = left + across * (right - left)
    upper, lower = _edges(landmarks, columns)
    rows = upper + down[:, None] * (lower - upper)
    places = torch.stack([columns[:, None].expand_as(rows), rows], dim=3) * 2 - 1
    seen = functional.grid_sample(images, places, align_corners=False)
    _, lips, dark, white = palette(images).unbind(1)  # (N, 3) each
    way = white - lips
    bare = ((seen[..., *BITE].mean((2, 3)) - lips) * way).sum(1) / way.square().sum(1).clamp(min=0.03)
    dark, white = (colour.mean(1)[:, None, None] for colour in (dark, white))
    return ((seen.mean(1) - dark) / (white - dark)).clamp(0, 1), bare
