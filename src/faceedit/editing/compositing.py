"""Blending the edit of one face into its photo, at the photo's own resolution.

Pixel coordinates are xy with (0, 0) in the centre of the first pixel. A `matrix` (2, 3) maps photo to crop pixels.
"""

import cv2
import numpy as np

from faceedit.faces.alignment import feather_mask, kept_mask, scaled
from faceedit.faces.eyelids import Eye, draw_eyes

FINER = 4  # how much finer an edit's fields are made before they are brought to the photo
BELOW = 0.2  # of the crop's side: how far below it a flow may reach, as chins lie at its border and jaws drop


def rows_below(size: int) -> int:
    """The number of rows below a crop of a size in which its flow goes on."""
    return round(BELOW * size)


def edit_masks(size: int) -> np.ndarray:
    """The masks of flow and residual in crops of a size, (2, size, size) float32: a jaw may move below the crop, where
    no residual is added."""
    return np.stack([feather_mask(size, rows_below(size))[:size], feather_mask(size)])


def apply_edit(
    image: np.ndarray, matrix: np.ndarray, flow: np.ndarray, residual: np.ndarray, eyes: tuple[Eye, ...] = ()
) -> np.ndarray:
    """The image with an edit of one face, (H, W, 3) uint8; only the crop and `rows_below` it can change.

    matrix: (2, 3), photo to crop. flow: (S, S, 2) float32, the xy deformation in crop pixels from each pixel to where
    its content comes from; it moves the photo's own pixels, at their resolution. residual: (P, P, 3) float32 with P up
    to FINER times S, the colour that is then added, in units of 255. Both fade out at the crop's border, but for the
    flow below the crop, where jaws drop to. eyes: the crop's, which stay behind their moving lids.
    """
    # From a coarse field straight to a large face, bilinear interpolation would show facets.
    size = flow.shape[0] * FINER
    below = rows_below(size)
    fine, residual = (
        cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) for field in (flow * FINER, residual)
    )
    finer = scaled(matrix, FINER)
    inverse = cv2.invertAffineTransform(finer)
    corners = np.array([(0, 0), (size, 0), (0, size + below), (size, size + below)]) - 0.5
    region = touched(corners, inverse, image.shape)
    if region is None:
        return image.copy()
    x0, y0, x1, y1 = region
    to_region = finer.copy()  # maps pixels of the region to the crop
    to_region[:, 2] += finer[:, :2] @ (x0, y0)

    def warp(field: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(
            field,
            to_region,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(0, 0, 0),
        )

    fine = np.pad(fine, ((0, below), (0, 0), (0, 0)), mode="edge") * kept_mask(size, below)[..., None]
    deformation = warp(np.ascontiguousarray(fine @ inverse[:, :2].T.astype(np.float32)))
    added = warp(np.ascontiguousarray(residual * kept_mask(size)[..., None]))
    # In place, and the sum by OpenCV: of large faces, copies take longer than all the rest.
    deformation[..., 0] += np.arange(x0, x1, dtype=np.float32)
    deformation[..., 1] += np.arange(y0, y1, dtype=np.float32)[:, None]
    moved = cv2.remap(  # type: ignore[call-overload] # its types leave out that one map may hold both
        image, deformation, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    draw_eyes(eyes, flow, image, moved, (x0, y0), matrix)
    added *= 255
    result = image.copy()
    result[y0:y1, x0:x1] = cv2.add(moved, added, dtype=cv2.CV_8U)
    return result


def touched(corners: np.ndarray, inverse: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The part of a frame (x0, y0, x1, y1) that the box between corners (4, 2) touches, or None.

    inverse: (2, 3), from the corners' pixels to the frame's. shape: of the frame.
    """
    points = corners @ inverse[:, :2].T + inverse[:, 2]
    x0, y0 = np.maximum(np.floor(points.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(0)).astype(int) + 1, (shape[1], shape[0]))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
