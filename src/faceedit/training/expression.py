"""Fitting how landmarks move with affect to where they lie in the training photos."""

import torch

from faceedit.data.crops import plane_bins
from faceedit.models.expression import (
    AT_REST,
    POWERS,
    Motion,
    as_complex,
    head_pose,
    lip_gap,
    powers,
    similarity_transform,
    standard_pose,
    with_pose,
)
from faceedit.models.landmarker import (
    BROWS,
    IRISES,
    LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    POINTS,
    UPPER_LIDS,
    UPPER_LIP,
    mirrored,
    point_indices,
)
from faceedit.models.lips import LOWER, UPPER, lip_opening, signed_distance

FEW = 20  # photos in a bin of the affect plane, below which they count for less than a whole bin
RIDGE = 1e-2  # beside some forty bins
ROUNDS, NEAR = 50, 0.001  # of weighing anew; of the crop's side, within which all is as near
LEAST_OPENING = 0.03  # of the crop's side, below which there is nothing to see


def fit(motion: Motion, landmarks: torch.Tensor, shown: torch.Tensor, affect: torch.Tensor) -> None:
    """Fit how landmarks move to those (M, K, 2) of M crops with affect (M, 2), all bins of the plane alike; and what
    open mouths show to (M, *GRID), see `lips.brightness`."""
    points, affect = landmarks.double(), affect.double()
    mean = points.mean(0)
    centre = as_complex(points)[:, list(AT_REST)].mean(1, keepdim=True)
    level = similarity_transform(points, mean)[:, None] * (as_complex(points) - centre)
    level = level + as_complex(mean)[list(AT_REST)].mean()
    both = torch.cat([level, as_complex(mirrored(torch.view_as_real(level)))])
    pose = head_pose(both)
    statistics = torch.stack([pose.mean(0), pose.std(0).clamp(min=1e-6)])
    pose = standard_pose(pose, statistics)
    everyone = affect.repeat(2, 1)
    yaw, pitch = pose.unbind(1)
    # Squares of the pose explain where it moves landmarks at any affect. They cancel in a change of affect.
    terms = torch.cat([with_pose(powers(everyone), pose), torch.stack([yaw**2, yaw * pitch, pitch**2], dim=1)], dim=1)
    course = _fit(both - as_complex(mean), terms, everyone)
    # What else moves where lips are further apart than on average; in percent, beside which a ridge is small.
    rest = both - as_complex(mean) - terms.to(both.dtype) @ course
    parted = 100 * _fit(rest, 100 * lip_gap(rest)[:, None], everyone)[0]
    # How far lips part is the median's: a few that gape open an average mouth, which would show teeth in grief.
    gap = _median(lip_gap(both - as_complex(mean)), powers(everyone), everyone)
    course[:POWERS] += (gap - lip_gap(course[:POWERS]))[:, None] * parted
    open_ = lip_opening(landmarks) > LEAST_OPENING
    shown = (shown + shown.flip(2))[open_].flatten(1) / 2
    shown = _fit(shown.double(), powers(affect[open_]), affect[open_]).view_as(motion.shown)
    motion.load_state_dict(
        {
            "mean": mean,
            "poses": statistics,
            "course": torch.view_as_real(course[:-3]),
            "parted": torch.view_as_real(parted),
            "shown": shown,
        }
    )


def _median(values: torch.Tensor, terms: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
    """The coefficients (T,) of terms (M, T) that bring them closest to most values (M,), all bins of affect alike."""
    worth = torch.ones_like(values)
    for _ in range(ROUNDS):  # least squares, in which what lies far off counts less and less
        found = _fit(values[:, None], terms, affect, worth / worth.mean())[:, 0]
        worth = 1 / (values - terms @ found).abs().clamp(min=NEAR)
    return found


def _fit(
    values: torch.Tensor, terms: torch.Tensor, affect: torch.Tensor, worth: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """The coefficients (T, P) of terms (M, T) that bring them closest to values (M, P), all bins of affect alike, and
    in each what is worth (M,) more."""
    bins, counts = torch.unique(plane_bins(affect), return_inverse=True, return_counts=True)[1:]
    weight = (worth / counts.clamp(min=FEW)[bins]).double()[:, None]
    normal = terms.T @ (weight * terms) + RIDGE * torch.eye(terms.shape[1], dtype=torch.float64)
    return torch.linalg.solve(normal.to(values.dtype), terms.T.to(values.dtype) @ (weight * values))


def parting(before: torch.Tensor, after: torch.Tensor, size: int) -> torch.Tensor:
    """Where in crops of a size lips part or meet as landmarks move: (N, 1, S, S) from 0 to 1."""
    open_ = (size * torch.maximum(lip_opening(before), lip_opening(after)) / 2).clamp(max=1)
    return ((signed_distance(after, size) + 2).clamp(0, 1) * open_[:, None, None])[:, None]


def outside() -> torch.Tensor:
    """The way from each landmark (K, 2) to where its flow is to be seen, in pixels: lips move as they do outside of the
    mouth, and at their very edge both ways."""
    way = torch.zeros(len(POINTS), 2)
    way[UPPER[1:-1], 1], way[LOWER[1:-1], 1] = -1, 1
    return way


def worth() -> torch.Tensor:
    """What each landmark (K,) counts for, 1 in the mean: most at the mouth."""
    worths = torch.ones(len(POINTS))
    worths[point_indices(UPPER_LIDS + LOWER_LIDS + BROWS + IRISES)] = 2
    worths[point_indices(LIPS + UPPER_LIP + LOWER_LIP)] = 3
    return worths / worths.mean()
