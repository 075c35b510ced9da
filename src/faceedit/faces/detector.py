"""Finding the faces of a photo. Pixel coordinates are xy with (0, 0) in the centre of the first pixel."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.errors import UsageError
from faceedit.faces.mtcnn import Cascade, Detections, suppress_nested
from faceedit.faces.turns import QuarterTurns
from faceedit.pool import one_core

DETECTION_SIDE = 1024
TILE = 1024  # pixels of a large copy that are looked at together, what bounds memory
MIN_PROBABILITY = 0.9
MIN_FACE_SIDE = 28  # finds faces of 20 too; with MTCNN's own 20 the networks have twice as much to look through


@dataclass(frozen=True, eq=False)
class Face:
    """A face found in a photo.

    box: (4,) xyxy pixels, may leave the frame. landmarks: (5, 2) xy pixels: the eyes (first the one that is the
    picture's left one where the face stands upright), nose, mouth corners likewise. probability: the detector's, in
    [0, 1].
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
        device = "cuda" if device == "cuda" else "cpu"  # MPS is no faster for networks this small
        self._cascade = Cascade(device)
        self._turns = QuarterTurns(self._cascade, device)

    @one_core()
    def detect(self, image: np.ndarray, largest: bool = False) -> list[Face]:
        """All faces of an image (H, W, 3) uint8 RGB, the largest first; an empty list where there is none.

        Looks at a copy of at most 1024 px, where MTCNN is fast and finds fewest false faces, and then for smaller faces
        at copies of twice the size, up to the image itself. largest: the largest alone, which takes a third of the time
        where it is not small; larger copies are looked at only where nothing was found. A face that lies on its side
        or upside down is found where no other stands upright, or not at all.
        """
        scale = min(1.0, DETECTION_SIDE / max(image.shape[:2]))
        small = np.ascontiguousarray(reduced(image, scale))
        faces = self._detect_at(small, scale, largest=largest)
        if not faces:
            faces = _faces(self._turns.search(small, MIN_FACE_SIDE, largest), scale)
        while scale < 1 and not (largest and faces):
            coarser, scale = scale, min(1.0, 2 * scale)
            faces = joined(faces, self._detect_in_tiles(reduced(image, scale), scale, MIN_FACE_SIDE * scale / coarser))
        faces.sort(key=lambda face: face.side, reverse=True)
        return faces[:1] if largest else faces

    @one_core()
    def probability(self, image: np.ndarray, box: np.ndarray) -> float:
        """How surely a box (4,) of an image holds a face, in [0, 1]: a hundredth of the work of finding one."""
        return self._cascade.probability(image, box)

    def _detect_in_tiles(self, image: np.ndarray, scale: float, max_side: float) -> list[Face]:
        """The faces in windows below max_side of a copy that is `scale` times as large as the photo.

        Tiles overlap by twice the largest window, and the one in which a face's centre lies has it.
        """
        faces = []
        margin = round(2 * max_side)
        for y in range(0, image.shape[0], TILE):
            for x in range(0, image.shape[1], TILE):
                left, top = max(x - margin, 0), max(y - margin, 0)
                tile = image[top : y + TILE + margin, left : x + TILE + margin]
                low, high = np.array([x, y]) / scale, np.array([x + TILE, y + TILE]) / scale
                for face in self._detect_at(tile, scale, (left, top), max_side):
                    centre = (face.box[:2] + face.box[2:]) / 2
                    if (centre >= low).all() and (centre < high).all():
                        faces.append(face)
        return faces

    def _detect_at(
        self,
        image: np.ndarray,
        scale: float,
        origin: tuple[int, int] = (0, 0),
        max_side: float = np.inf,
        largest: bool = False,
    ) -> list[Face]:
        """The faces of a part that begins at the origin xy of a copy `scale` times as large as the photo."""
        image = np.ascontiguousarray(image)
        found = self._cascade.search(image, MIN_FACE_SIDE, MIN_PROBABILITY, largest, max_side)
        kept = self._turns.upright(image, found)
        if largest and len(found.boxes) and not len(kept.boxes):
            kept = self._turns.upright(image, self._cascade.search(image, MIN_FACE_SIDE, MIN_PROBABILITY))
        return _faces(kept, scale, origin)


def _faces(found: Detections, scale: float, origin: tuple[int, int] = (0, 0)) -> list[Face]:
    """What was found in a part that begins at the origin xy of a copy `scale` times as large as the photo."""
    boxes = (found.boxes + np.tile(origin, 2)) / scale
    # MTCNN measures from the edge of the first pixel, and its windows begin half a pixel before where it believes they
    # do, on average.
    landmarks = (found.landmarks + origin - 0.5) / scale - 0.5
    return [Face(*face) for face in zip(boxes, landmarks, found.probabilities.tolist(), strict=True)]


def checked(image: np.ndarray) -> np.ndarray:
    """The image. Raises UsageError unless it is (H, W, 3) uint8."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise UsageError(f"an image must be (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
    return image


def box_text(box: Iterable[float]) -> str:
    """A box (4,) xyxy for a person to read, in whole pixels."""
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    return f"({x0}, {y0})-({x1}, {y1})"


def joined(faces: list[Face], others: list[Face]) -> list[Face]:
    """The faces, and those of the others that are not the same ones, nor inside them."""
    together = faces + others
    if not together:
        return []
    ranks = np.array([face.probability + (index < len(faces)) for index, face in enumerate(together)])
    return [together[index] for index in suppress_nested(np.stack([face.box for face in together]), ranks)]


def reduced(image: np.ndarray, scale: float) -> np.ndarray:
    """A copy of an image, `scale` times as large. Halving first takes a fifth of the time of one step."""
    if scale >= 1:
        return image
    width, height = (max(round(side * scale), 1) for side in image.shape[1::-1])
    while min(image.shape[0] / height, image.shape[1] / width) >= 2:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
