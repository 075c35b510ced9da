"""Finding the faces of a photo. Pixel coordinates are xy with (0, 0) in the centre of the first pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.faces.mtcnn import Cascade

DETECTION_SIDE = 1024
MOST_PIXELS = 24_000_000  # MTCNN takes about 100 bytes for each
MIN_PROBABILITY = 0.9
MIN_FACE_SIDE = 28  # finds faces of 20 too; with MTCNN's own 20 the networks have twice as much to look through


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
    """Finds faces with MTCNN, whose weights come with facenet-pytorch. Raises WeightsError where they are missing."""

    def __init__(self, device: str = "cpu"):
        self._cascade = Cascade("cuda" if device == "cuda" else "cpu")  # MPS is no faster for networks this small

    def detect(self, image: np.ndarray, largest: bool = False) -> list[Face]:
        """All faces of an image (H, W, 3) uint8 RGB, the largest first; an empty list where there is none.

        largest: the largest alone, which takes a fifth of the time where it is not small.

        Looks at a copy of at most 1024 px, where MTCNN is fast and finds fewest false faces, and only if that
        shows nothing at the full size, or as much of it as memory bears.
        """
        height, width = image.shape[:2]
        scale = min(1.0, DETECTION_SIDE / max(height, width))
        faces = self._detect_at(image, scale, largest)
        if not faces and scale < 1:
            faces = self._detect_at(image, min(1.0, (MOST_PIXELS / (height * width)) ** 0.5), largest)
        faces.sort(key=lambda face: face.side, reverse=True)
        return faces[:1] if largest else faces

    def _detect_at(self, image: np.ndarray, scale: float, largest: bool) -> list[Face]:
        found = self._cascade.search(reduced(image, scale), MIN_FACE_SIDE, MIN_PROBABILITY, largest)
        # MTCNN measures from the edge of the first pixel, and its windows begin half a pixel before where it believes
        # they do, on average.
        landmarks = (found.landmarks - 0.5) / scale - 0.5
        return [Face(*face) for face in zip(found.boxes / scale, landmarks, found.probabilities.tolist(), strict=True)]


def reduced(image: np.ndarray, scale: float) -> np.ndarray:
    """A copy of an image, `scale` times as large. Halving first takes a fifth of the time of one step."""
    if scale >= 1:
        return image
    width, height = (max(round(side * scale), 1) for side in image.shape[1::-1])
    while min(image.shape[0] / height, image.shape[1] / width) >= 2:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
