"""Aligning a crop to the training template, and laying it back over its photo.

Pixel coordinates are xy with (0, 0) in the centre of the first pixel. A `matrix` (2, 3) maps photo to crop pixels.
"""

from functools import cache

import cv2
import numpy as np

# Where eyes, nose and mouth corners lie in a crop, as shares of its side: brows and chin inside, little else.
TEMPLATE = np.array([(0.305, 0.285), (0.695, 0.285), (0.5, 0.5), (0.325, 0.69), (0.675, 0.69)])
# Where `face_mesh.STILL` lie there: the means of 598 training photos and their mirror images, aligned by the detector.
AT_REST = np.array(
    [
        *((0.261, 0.339), (0.405, 0.349), (0.595, 0.349), (0.739, 0.339)),
        *((0.5, 0.322), (0.5, 0.366), (0.5, 0.405)),
        *((0.126, 0.354), (0.874, 0.354), (0.13, 0.431), (0.87, 0.431)),
        *((0.5, 0.235), (0.5, 0.147)),
    ]
)
FEATHER = 0.24  # of half the crop's side: how far from the border an edit takes to reach full strength
ROUNDNESS = 2.5  # exponent of the superellipse that an edit fills: 2 is a circle, more is squarer


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The matrix (2, 3) of rotation, scale and shift that brings points (N, 2) closest to others, in least squares.

    With points as complex numbers it is w = a·z + b, which has a closed solution and no mirrored one.
    """
    z, w = source @ (1, 1j), target @ (1, 1j)
    z_centred = z - z.mean()
    a = np.vdot(z_centred, w - w.mean()) / np.vdot(z_centred, z_centred).real
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def alignment(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The matrix (2, 3) from photo pixels to the pixels of a crop of this size, from five landmarks (5, 2)."""
    return similarity(landmarks, TEMPLATE * size - 0.5)


def crop_face(image: np.ndarray, matrix: np.ndarray, size: int, below: int = 0) -> np.ndarray:
    """The aligned crop of an image, and rows below it, (size + below, size, 3) uint8; what lies outside the frame is
    mirrored into it."""
    # Sampling a large face at `size` points would alias: sample it at its own resolution, then average.
    over = int(np.clip(np.ceil(1 / np.hypot(*matrix[0, :2]) - 1e-6), 1, 32))
    fine = scaled(matrix, over)
    crop = cv2.warpAffine(
        image, fine, (size * over, (size + below) * over), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return cv2.resize(crop, (size, size + below), interpolation=cv2.INTER_AREA) if over > 1 else crop


def scaled(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The matrix (2, 3) to a crop `factor` times as large; pixel centres lie at whole numbers in both."""
    larger = matrix * factor
    larger[:, 2] += (factor - 1) / 2
    return larger


def smoothstep(x: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, a smooth cubic in between."""
    share = ((np.asarray(x) - low) / (high - low)).clip(0, 1)
    return share * share * (3 - 2 * share)


def feather_mask(size: int, below: int = 0) -> np.ndarray:
    """Weights (size + below, size) float32 for an edit of a crop, and for `below` rows below it: 0 at the border and
    corners, 1 inside, a smooth rise between.

    Between a circle and a square, as a face is: the corners of a crop show hair, shoulders and background.
    """
    across = np.linspace(-1, 1, size)
    down = np.where(across > 0, across * size / (size + 2 * below), across)
    down = np.concatenate([down, np.linspace(down[-1], 1, below + 1)[1:]])
    radius = np.add.outer(np.abs(down) ** ROUNDNESS, np.abs(across) ** ROUNDNESS) ** (1 / ROUNDNESS)
    return smoothstep(1 - radius, 0, FEATHER).astype(np.float32)


kept_mask = cache(feather_mask)  # all edits of one model need the same


def paste_back(image: np.ndarray, matrix: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The image with an aligned crop (S, S, 3) uint8 laid over it, faded out at the crop's border."""
    size = crop.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shape = (image.shape[1], image.shape[0])
    laid = cv2.warpAffine(crop, matrix, shape, flags=flags).astype(np.float32)
    mask = cv2.warpAffine(feather_mask(size), matrix, shape, flags=flags)[..., None]
    return np.rint(image + (laid - image) * mask).clip(0, 255).astype(np.uint8)
