"""Finding the landmarks of an aligned face, and its eyes: lids by landmarks, irises by their edges."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from faceedit.device import as_images
from faceedit.faces.alignment import AT_REST, TEMPLATE, alignment, crop_face, similarity, smoothstep
from faceedit.faces.eyelids import Eye, sampled
from faceedit.models.face_mesh import EYE_CORNERS, STILL, point_indices
from faceedit.models.landmarker import Landmarker
from faceedit.pool import one_core
from faceedit.weights import load_model

if TYPE_CHECKING:  # which itself checks faces by landmarks
    from faceedit.faces.detector import Face

# The landmarks of the picture's left and right eye: the upper and the lower lid, from corner to corner, and the iris.
EYES = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133), 468),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263), 473),
)
# What stands for the five landmarks of the detector. Irises would move with the gaze.
LEFT_EYE, RIGHT_EYE = point_indices(EYE_CORNERS[:2]), point_indices(EYE_CORNERS[2:])
NOSE, MOUTH = point_indices((4, 1)), point_indices((61, 291))
MAX_MOVE = 0.6  # of the eyes' distance: of 281 faces, 1 in 100 moved by more than 0.4
ANCHOR_CROP = 96  # pixels of the crop in which these are found, as the network sees it


@dataclass(frozen=True)
class IrisSettings:
    """How irises are sought. Numbers set by hand, and where each comes from."""

    radius: float = 5.85 / 63  # of an iris, as a share of the distance between two: means of adults, in millimetres
    # Where an iris is sought around its landmark, in shares of a crop's side, and of which radii, as shares of what is
    # expected: from, to, step. By eye.
    sideways: tuple[float, float, float] = (-0.018, 0.0181, 0.0025)
    upwards: tuple[float, float, float] = (-0.0075, 0.0076, 0.0025)
    radii: tuple[float, float, float] = (0.85, 1.21, 0.05)
    # Contrast that must be gained, for squared shares of the side and of the radius. An iris's sides say little of how
    # high it lies. By eye.
    aside_weight: float = 9000
    up_weight: float = 36000
    radius_weight: float = 150
    alike: float = 2  # contrast that makes no difference; by eye
    limbus: tuple[float, float] = (0.87, 1.13)  # of the radius: inside and outside an iris's edge; by eye
    max_contrast: float = 60  # of 255, as more would be a lid, or a highlight; by eye
    # Contrast of an iris: below the first none is believed in, from the second on it is. By eye.
    clear: tuple[float, float] = (6, 16)
    blur: float = 0.0036  # of the crop's side, the standard deviation of a blur before edges are sought; by eye


IRIS = IrisSettings()
SIDEWAYS, UPWARDS, RADII = np.arange(*IRIS.sideways), np.arange(*IRIS.upwards), np.arange(*IRIS.radii)
SIDES = np.deg2rad(np.arange(-50, 51, 10))  # of an iris, which lids rarely hide


class LandmarkFinder:
    """Finds the landmarks of aligned faces, by the network that ships."""

    def __init__(self, device: str = "cpu"):
        self._model = load_model("landmarks", Landmarker, device).to(memory_format=torch.channels_last)
        self._device = device

    def find(self, crop: np.ndarray) -> np.ndarray:
        """The landmarks (K, 2) of an aligned crop (S, S, 3) uint8, in shares of its side: see `models.face_mesh`.

        They are found more exactly in a crop of 192 pixels and more than in a smaller one.
        """
        side = self._model.config.fine_size
        if len(crop) > side:
            crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        return self._found(self._model, crop)

    def anchors(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """What stands for the detector's five landmarks in a face of an image, (5, 2) pixels of a crop of ANCHOR_CROP
        pixels. matrix: (2, 3), image pixels to the crop's."""
        points = self._coarse(image, matrix)
        eyes_and_nose = [points[group].mean(0) for group in (LEFT_EYE, RIGHT_EYE, NOSE)]
        return np.stack([*eyes_and_nose, *points[MOUTH]])

    def settled(self, image: np.ndarray, face: "Face") -> "Face":
        """The face of an image with five landmarks by which `alignment` brings it to where faces lie on average.

        The detector's own miss that by a tenth in scale now and then, and move with the mouth: found are points that
        no expression moves. What they ask for beyond reason is left alone.
        """
        matrix = alignment(face.landmarks, ANCHOR_CROP)
        points = self._coarse(image, matrix)[point_indices(STILL)]
        rest, five = (places * ANCHOR_CROP - 0.5 for places in (AT_REST, TEMPLATE))
        from_rest = similarity(rest, points)
        landmarks = cv2.transform(cv2.transform(five[None], from_rest), cv2.invertAffineTransform(matrix))[0]
        moved = np.hypot(*(landmarks - face.landmarks).T).max() / np.hypot(*(face.landmarks[1] - face.landmarks[0]))
        return replace(face, landmarks=landmarks) if moved < MAX_MOVE else face

    def find_in_photo(self, image: np.ndarray, face: "Face") -> np.ndarray:
        """The landmarks (K, 2) xy of a face of a photo (H, W, 3) uint8, in its pixels."""
        side = self._model.config.fine_size
        matrix = alignment(face.landmarks, side)
        points = self.find(crop_face(image, matrix, side)) * side - 0.5
        inverse = cv2.invertAffineTransform(matrix)
        return points @ inverse[:, :2].T + inverse[:, 2]

    def _coarse(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The landmarks (K, 2) that are found at once, in pixels of a crop of ANCHOR_CROP pixels."""
        return self._found(self._model.coarse, crop_face(image, matrix, ANCHOR_CROP)) * ANCHOR_CROP - 0.5

    @one_core()
    def _found(self, network: Callable[[torch.Tensor], torch.Tensor], crop: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            (landmarks,) = network(as_images(crop[None], self._device)).double().cpu().numpy()
        return landmarks


def find_eyes(landmarks: np.ndarray, fine: np.ndarray) -> tuple[Eye, ...]:
    """The two eyes of an aligned crop with these landmarks (K, 2), from many of its pixels (P, P, 3) uint8."""
    grey = cv2.GaussianBlur(cv2.cvtColor(fine, cv2.COLOR_RGB2GRAY), (0, 0), IRIS.blur * len(fine))
    irises = landmarks[point_indices(tuple(iris for *_, iris in EYES))]
    expected = IRIS.radius * float(np.hypot(*(irises[1] - irises[0])))
    lids = [np.stack([landmarks[point_indices(lid)] for lid in pair]) for *pair, _ in EYES]
    radii = expected * RADII
    fits = [_fit_iris(grey, iris, radii, pair) for iris, pair in zip(irises, lids, strict=True)]
    # Both irises have one size.
    shares = _shares(sum(fit.scores for fit in fits) / 2 - IRIS.radius_weight * (RADII - 1) ** 2)
    return tuple(
        Eye(shares @ fit.centres, float(shares @ radii), pair, float(smoothstep(shares @ fit.contrasts, *IRIS.clear)))
        for fit, pair in zip(fits, lids, strict=True)
    )


class _Fits(NamedTuple):
    """The best position of an iris for each radius: scores (R,), centres (R, 2), contrasts (R,)."""

    scores: np.ndarray
    centres: np.ndarray
    contrasts: np.ndarray


def _fit_iris(grey: np.ndarray, iris: np.ndarray, radii: np.ndarray, lids: np.ndarray) -> _Fits:
    """The position at which the visible edge of an iris has the highest contrast to the white (Daugman 1993).

    grey: (P, P). iris: (2,), about where it lies; lids: (2, 9, 2); radii: (R,); all in shares of the crop's side.
    """
    radius, x, y = np.meshgrid(radii, iris[0] + SIDEWAYS, iris[1] + UPWARDS, indexing="ij")
    contrast = np.zeros_like(x)
    for angles in (SIDES, np.pi - SIDES):
        free, values = np.ones((*x.shape, len(angles)), bool), []
        for share in IRIS.limbus:
            across = x[..., None] + share * radius[..., None] * np.cos(angles)
            down = y[..., None] + share * radius[..., None] * np.sin(angles)
            upper, lower = (np.interp(across, *lid.T) for lid in lids)
            free &= (down > upper) & (down < lower)
            values.append(sampled(grey, np.stack([across, down], axis=-1) * len(grey) - 0.5)[..., 0])
        rise = np.where(free, (values[1] - values[0]).clip(-IRIS.max_contrast / 2, IRIS.max_contrast), 0)
        contrast += rise.sum(-1) / np.maximum(free.sum(-1), 3) / 2
    penalty = IRIS.aside_weight * (x - iris[0]) ** 2 + IRIS.up_weight * (y - iris[1]) ** 2
    scores, contrast = (values.reshape(len(radii), -1) for values in (contrast - penalty, contrast))
    shares = _shares(scores)
    centres = np.stack([(shares * values.reshape(scores.shape)).sum(1) for values in (x, y)], axis=1)
    return _Fits(scores.max(1), centres, (shares * contrast).sum(1))


def _shares(scores: np.ndarray) -> np.ndarray:
    """Softmax weights (..., N) of scores: from frame to frame, weighted means are steadier than the best one."""
    shares = np.exp((scores - scores.max(-1, keepdims=True)) / IRIS.alike)
    return shares / shares.sum(-1, keepdims=True)
