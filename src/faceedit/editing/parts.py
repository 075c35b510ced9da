"""The parts of a face that can be edited by themselves: eyes, brows and mouth."""

from typing import NamedTuple

import cv2
import numpy as np

from faceedit.errors import UsageError
from faceedit.faces.alignment import smoothstep
from faceedit.models.face_mesh import BROWS, LIPS, point_indices


class Region(NamedTuple):
    """Where a part lies: hulls around groups of points of the Face Mesh, and what lies around them.

    margin: how far around the hulls an edit has full strength. fade: over how far it then falls to nothing. Both are
    shares of the crop's side, by eye: an eye's fade ends below the brow, a brow's above the lid.
    """

    groups: tuple[tuple[int, ...], ...]
    margin: float
    fade: float


REGIONS = {
    "eyes": Region(
        (
            (33, 246, 161, 160, 159, 158, 157, 173, 133, 7, 163, 144, 145, 153, 154, 155),
            (263, 466, 388, 387, 386, 385, 384, 398, 362, 249, 390, 373, 374, 380, 381, 382),
        ),
        0.02,
        0.05,
    ),
    "brows": Region((BROWS[:10], BROWS[10:], (55, 107, 285, 336)), 0.02, 0.05),  # and the frown between them
    "mouth": Region(((*LIPS, 98, 2, 327, 18, 200, 199, 175, 152, 148, 377),), 0.03, 0.12),  # with the chin below it
}
PARTS = tuple(REGIONS)


def check_parts(parts: tuple[str, ...]) -> None:
    """Raise UsageError for a name that is none of PARTS."""
    for part in parts:
        if part not in REGIONS:
            raise UsageError(f"a part of the face is {', '.join(PARTS[:-1])} or {PARTS[-1]}, not {part or 'nothing'}")


def part_mask(landmarks: np.ndarray, parts: tuple[str, ...], size: int) -> np.ndarray:
    """Weights (size, size) float32 of an edit of some parts alone: 1 in them, 0 elsewhere, a smooth fall between.

    landmarks: (K, 2), in shares of the crop's side, see `models.face_mesh`.
    """
    mask = np.zeros((size, size), np.float32)
    for region in (REGIONS[part] for part in parts):
        outside = np.ones((size, size), np.uint8)
        for group in region.groups:
            points = landmarks[point_indices(group)] * size - 0.5
            cv2.fillConvexPoly(outside, cv2.convexHull(np.rint(points).astype(np.int32)), 0)
        distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / size
        mask = np.maximum(mask, 1 - smoothstep(distance, region.margin, region.margin + region.fade))
    return mask.astype(np.float32)
