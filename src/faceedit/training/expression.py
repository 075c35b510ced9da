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
from faceedit.models.face_mesh import (
    BROWS,
    IRISES,
    LIPS,
    LOWER_LIDS,
    LOWER_LIP,
    POINTS,
    UPPER_LIDS,
    UPPER_LIP,
    point_indices,
)
from faceedit.models.landmarker import mirrored
from faceedit.models.lips import LOWER, UPPER, lip_opening, signed_distance

FEW = 20  # photos in a bin of the affect plane; with fewer, a bin counts for less than others
RIDGE = 1e-2  # of the ridge regression, beside a weight of one for each of some forty bins
ROUNDS, NEAR = 50, 0.001  # of reweighting; of the crop's side, within which weights are equal
EMPHASIS = 2.0  # times how expressions differ on average, as labels mix them; where training starts from
MIN_OPENING = 0.03  # of the crop's side, below which there is nothing to see


def fit(
    motion: Motion,
    landmarks: torch.Tensor,
    shown: torch.Tensor,
    affect: torch.Tensor,
    expressions: torch.Tensor | None = None,
) -> None:
    """Fit a motion to landmarks (M, K, 2) of crops with affect (M, 2) and probabilities of expressions (M, 8), and what
    open mouths show to `shown` (M, *GRID).

    shown: see `lips.brightness`. All bins of the affect plane count alike.
    """
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
    coefficients = _fit(both - as_complex(mean), terms, everyone)
    # What moves where lips are further apart than the mean. In percent, so that the ridge is small beside it.
    rest = both - as_complex(mean) - terms.to(both.dtype) @ coefficients
    lip_coefficients = 100 * _fit(rest, 100 * lip_gap(rest)[:, None], everyone)[0]
    # The gap of the lips is the median: a few wide mouths would open the mean one, and it would show teeth in grief.
    gap = _median(lip_gap(both - as_complex(mean)), powers(everyone), everyone)
    coefficients[:POWERS] += (gap - lip_gap(coefficients[:POWERS]))[:, None] * lip_coefficients
    open_ = lip_opening(landmarks) > MIN_OPENING
    shown = (shown + shown.flip(2))[open_].flatten(1) / 2
    shown = _fit(shown.double(), powers(affect[open_]), affect[open_]).view_as(motion.texture_coefficients)
    found = {
        "mean": mean,
        "pose_statistics": statistics,
        "coefficients": torch.view_as_real(coefficients[:-3]),
        "lip_coefficients": torch.view_as_real(lip_coefficients),
        "texture_coefficients": shown,
    }
    if motion.expression_coefficients is not None and expressions is not None:
        sure = expressions.double().repeat(2, 1)
        average = sure.T.to(rest.dtype) @ rest / sure.sum(0).clamp(min=FEW)[:, None]
        found["expression_coefficients"] = EMPHASIS * torch.view_as_real(average)
    motion.load_state_dict(found)


def _median(values: torch.Tensor, terms: torch.Tensor, affect: torch.Tensor) -> torch.Tensor:
    """The coefficients (T,) of terms (M, T) that fit the median of values (M,), all bins of affect alike."""
    weights = torch.ones_like(values)
    for _ in range(ROUNDS):  # iteratively reweighted least squares
        found = _fit(values[:, None], terms, affect, weights / weights.mean())[:, 0]
        weights = 1 / (values - terms @ found).abs().clamp(min=NEAR)
    return found


def _fit(
    values: torch.Tensor, terms: torch.Tensor, affect: torch.Tensor, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """The coefficients (T, P) of terms (M, T) that fit values (M, P) best in least squares.

    All bins of affect count alike, and within them each row by its weight (M,).
    """
    bins, counts = torch.unique(plane_bins(affect), return_inverse=True, return_counts=True)[1:]
    weight = (weights / counts.clamp(min=FEW)[bins]).double()[:, None]
    normal = terms.T @ (weight * terms) + RIDGE * torch.eye(terms.shape[1], dtype=torch.float64)
    return torch.linalg.solve(normal.to(values.dtype), terms.T.to(values.dtype) @ (weight * values))


def parting(before: torch.Tensor, after: torch.Tensor, size: int) -> torch.Tensor:
    """A mask (N, 1, S, S) in [0, 1] of where lips part or meet as landmarks move, in crops of a size."""
    open_ = (size * torch.maximum(lip_opening(before), lip_opening(after)) / 2).clamp(max=1)
    return ((signed_distance(after, size) + 2).clamp(0, 1) * open_[:, None, None])[:, None]


def outside() -> torch.Tensor:
    """The offset (K, 2), in pixels, from each landmark to where its flow is read: for lips, outside of the mouth, as at
    their very edge the flow points both ways."""
    way = torch.zeros(len(POINTS), 2)
    way[UPPER[1:-1], 1], way[LOWER[1:-1], 1] = -1, 1
    return way


def landmark_weights() -> torch.Tensor:
    """The weight of each landmark (K,), 1 in the mean: highest at the mouth."""
    weights = torch.ones(len(POINTS))
    weights[point_indices(UPPER_LIDS + LOWER_LIDS + BROWS + IRISES)] = 2
    weights[point_indices(LIPS + UPPER_LIP + LOWER_LIP)] = 3
    return weights / weights.mean()
