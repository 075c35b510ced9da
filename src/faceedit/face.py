"""Faces in a photo: finding them, aligning a crop to the training template, and putting an edit back.

Pixel coordinates are xy with (0, 0) in the centre of the first pixel. A `matrix` (2, 3) maps photo to crop pixels.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from faceedit.eyelids import EDGE, REACH, Eye, Eyeball, eyeballs, smoothstep

# Where eyes, nose and mouth corners lie in a crop, as shares of its side: brows and chin inside, little else.
TEMPLATE = np.array([(0.305, 0.285), (0.695, 0.285), (0.5, 0.5), (0.325, 0.69), (0.675, 0.69)])
DETECTION_SIDE = 1024
MOST_PIXELS = 24_000_000  # MTCNN takes about 100 bytes for each
MIN_PROBABILITY = 0.9
MIN_FACE_SIDE = 28  # finds faces of 20 too; with MTCNN's own 20 the networks have twice as much to look through
FEATHER = 0.24  # of half the crop's side: how far from the border an edit takes to reach full strength
FINER = 4  # how much finer an edit's fields are made before they are brought to the photo
EDGES = 0.02  # of a face's pixels, the strongest edges
SOBEL = 0.5  # squared pixels of blur that the filter itself brings
LEAST_WEAKER = 0.2  # where further blurs hardly tell, a blur could be of any size
ROUNDNESS = 2.5  # exponent of the superellipse that an edit fills: 2 is a circle, more is squarer
BELOW = 0.2  # of the crop's side: how far below it a flow may reach, as chins lie at its border and jaws drop


@dataclass(frozen=True, eq=False)
class Face:
    """A face found in a photo.

    box: (4,) xyxy pixels, may leave the frame. landmarks: (5, 2) xy pixels: the eyes (the picture's left one
    first), nose, mouth corners. probability: the detector's, in [0, 1].
    """

    box: np.ndarray
    landmarks: np.ndarray
    probability: float

    @property
    def side(self) -> float:
        """The geometric mean of the box's sides in pixels."""
        width, height = np.maximum(self.box[2:] - self.box[:2], 0)
        return float(np.sqrt(width * height))


class FaceDetector:
    """Finds faces with MTCNN (facenet-pytorch), whose weights come with its package."""

    def __init__(self, device: str = "cpu"):
        from facenet_pytorch import MTCNN

        # MTCNN calls operations that MPS lacks, and is no faster there.
        device = "cuda" if device == "cuda" else "cpu"
        self._mtcnn = MTCNN(keep_all=True, min_face_size=MIN_FACE_SIDE, device=device)
        self._mtcnn.to(memory_format=torch.channels_last)  # with planes below, three tenths less work

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces of an image (H, W, 3) uint8 RGB, the largest first; an empty list where there is none.

        Looks at a copy of at most 1024 px, where MTCNN is fast and finds fewest false faces, and only if that
        shows nothing at the full size, or as much of it as memory bears.
        """
        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        faces = self._detect_at(image, scale)
        if not faces and scale < 1:
            faces = self._detect_at(image, min(1.0, (MOST_PIXELS / (height * width)) ** 0.5))
        return sorted(faces, key=lambda face: face.side, reverse=True)

    def _detect_at(self, image: np.ndarray, scale: float) -> list[Face]:
        if scale < 1:
            size = [max(round(side * scale), 1) for side in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        if min(image.shape[:2]) < MIN_FACE_SIDE:
            return []  # MTCNN raises on an image smaller than the smallest face it looks for
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).permute(1, 2, 0)
        boxes, probabilities, landmarks = self._mtcnn.detect(planes, landmarks=True)
        if boxes is None:
            return []
        # MTCNN measures from the edge of the first pixel, and its windows begin half a pixel before where it believes
        # they do, on average.
        return [
            Face(
                np.asarray(box, np.float64) / scale,
                (np.asarray(points, np.float64) - 0.5) / scale - 0.5,
                float(probability),
            )
            for box, probability, points in zip(boxes, probabilities, landmarks, strict=True)
            if probability is not None and probability >= MIN_PROBABILITY
        ]


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


def rows_below(size: int) -> int:
    """How many rows below a crop of a size a flow goes on."""
    return round(BELOW * size)


def edit_masks(size: int) -> np.ndarray:
    """The weights of a flow and of a paint in crops of a size, (2, size, size) float32: jaws move beyond the crop, and
    nothing is painted there."""
    return np.stack([feather_mask(size, rows_below(size))[:size], feather_mask(size)])


_kept_mask = cache(feather_mask)  # all edits of one model need the same


def blur(crop: np.ndarray) -> float:
    """How blurred a face is, as the standard deviation of a Gaussian in pixels of its crop (S, S, 3) uint8, up to 3.7.

    Further blurs weaken a blurred edge less than a sharp one (Zhuo and Sim 2011): the median over the strongest edges.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    seen = _kept_mask(len(crop)) > 0.5
    once, twice = (
        cv2.magnitude(cv2.Sobel(x, cv2.CV_32F, 1, 0), cv2.Sobel(x, cv2.CV_32F, 0, 1))[seen]
        for x in (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 2))
    )
    strongest = once >= max(np.quantile(once, 1 - EDGES), 1e-3)
    if not strongest.any():
        return 0.0
    ratio = float(np.median(once[strongest] / twice[strongest])) ** 2  # (σ² + 2²) / (σ² + 1²)
    return max((4 - ratio) / max(ratio - 1, LEAST_WEAKER) - SOBEL, 0) ** 0.5


def apply_edit(
    image: np.ndarray, matrix: np.ndarray, flow: np.ndarray, paint: np.ndarray, eyes: tuple[Eye, ...] = ()
) -> np.ndarray:
    """The image with an edit of one face, (H, W, 3) uint8; only the crop and `rows_below` it can change.

    matrix: (2, 3), photo to crop. flow: (S, S, 2) float32, for each crop pixel the xy step in crop pixels to where its
    content comes from. paint: (P, P, 4) float32 with P up to FINER times S, the colour that is then added, in units
    of 255, and the share in [0, 1] of what it is added to that it hides. Both fade out at the crop's border, but the
    flow below the crop, where jaws drop to. The photo's own pixels are moved, at their own resolution. eyes: the
    crop's, which stay behind their moving lids.
    """
    # Straight from a coarse field to a large face, bilinear facets would show.
    size = flow.shape[0] * FINER
    below = rows_below(size)
    fine, paint = (cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) for field in (flow * FINER, paint))
    finer = scaled(matrix, FINER)
    inverse = cv2.invertAffineTransform(finer)
    region = _region(inverse, size, below, image.shape)
    if region is None:
        return image.copy()
    x0, y0, x1, y1 = region
    to_region = finer.copy()  # maps pixels of the region to the crop
    to_region[:, 2] += finer[:, :2] @ (x0, y0)

    def spread(field: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(
            field,
            to_region,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(0, 0, 0, 0),
        )

    fine = np.pad(fine, ((0, below), (0, 0), (0, 0)), mode="edge") * _kept_mask(size, below)[..., None]
    steps = spread(np.ascontiguousarray(fine @ inverse[:, :2].T.astype(np.float32)))
    painted = spread(np.ascontiguousarray(paint * _kept_mask(size)[..., None]))
    rows, columns = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    moved = cv2.remap(
        image, columns + steps[..., 0], rows + steps[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    for eye in eyeballs(eyes, flow):
        _show(eye, image, moved, (x0, y0), matrix)
    edited = moved * (1 - painted[..., 3:]) + 255 * painted[..., :3]
    result = image.copy()
    result[y0:y1, x0:x1] = np.rint(edited).clip(0, 255)
    return result


def _show(eye: Eyeball, image: np.ndarray, moved: np.ndarray, origin: tuple[int, int], matrix: np.ndarray) -> None:
    """Lay an eye of an image over the part that moved, (H, W, 3) uint8 from the origin xy, where lids leave it free.

    matrix: (2, 3), photo to crop pixels.
    """
    inverse = cv2.invertAffineTransform(matrix)
    centre = inverse[:, :2] @ (eye.iris + eye.shift) + inverse[:, 2] - origin
    pixel = float(np.hypot(*matrix[0, :2]))  # of the photo, in pixels of the crop
    reach = REACH * eye.radius / pixel
    x0, y0 = np.floor(centre - reach).astype(int).clip(0)
    x1, y1 = np.minimum(np.ceil(centre + reach).astype(int) + 1, moved.shape[1::-1])
    if x0 >= x1 or y0 >= y1:
        return
    points = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), axis=-1) + origin
    sources, right, seen = eye.shown(points @ matrix[:, :2].T + matrix[:, 2], max(EDGE, pixel))
    sources = (sources @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    left, other = (
        cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT).astype(np.float32)
        for x, y in np.moveaxis(sources, -1, 1)
    )
    window = moved[y0:y1, x0:x1]
    shown = left + (other - left) * right[..., None]
    window[:] = np.rint(window + (shown - window) * seen[..., None])


def paste_crop(image: np.ndarray, matrix: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The image with an aligned crop (S, S, 3) uint8 laid over it, faded out at the crop's border."""
    size = crop.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shape = (image.shape[1], image.shape[0])
    laid = cv2.warpAffine(crop, matrix, shape, flags=flags).astype(np.float32)
    mask = cv2.warpAffine(feather_mask(size), matrix, shape, flags=flags)[..., None]
    return np.rint(image + (laid - image) * mask).clip(0, 255).astype(np.uint8)


def scaled(matrix: np.ndarray, factor: float) -> np.ndarray:
    """The matrix (2, 3) to a crop `factor` times as large; pixel centres lie at whole numbers in both."""
    larger = matrix * factor
    larger[:, 2] += (factor - 1) / 2
    return larger


def _region(inverse: np.ndarray, size: int, below: int, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """The part of the frame (x0, y0, x1, y1) that the crop and the rows below it touch, or None."""
    height = size + below
    corners = np.array([(0, 0), (size, 0), (0, height), (size, height)]) - 0.5
    points = corners @ inverse[:, :2].T + inverse[:, 2]
    x0, y0 = np.maximum(np.floor(points.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(points.max(0)).astype(int) + 1, (shape[1], shape[0]))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
