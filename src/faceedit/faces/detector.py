"""Finding the faces of a photo. Pixel coordinates are xy with (0, 0) in the centre of the first pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from faceedit.faces.alignment import TEMPLATE, alignment, crop_face, similarity
from faceedit.faces.eyes import LandmarkFinder
from faceedit.faces.mtcnn import Cascade, suppress_nested
from faceedit.models.landmarker import places

DETECTION_SIDE = 1024
TILE = 1024  # pixels of a large copy that are looked at together, what bounds memory
MIN_PROBABILITY = 0.9
# Of 250 photos, nine tenths of the faces meet all three as they are, and none in quarter turns does.
SURE_PROBABILITY = 0.995
MAX_DEVIATION = 0.1  # of the landmarks of both networks, in shares of a crop's side
MAX_SCALE = 1.08  # by which the landmark network's points must grow to fit the detector's
CHECK_SIDE = 96  # pixels of the crops in which that is checked
FIVE_POINTS = (468, 473, 1, 61, 291)  # the landmark network's eyes, nose and mouth corners
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

    def __init__(self, device: str = "cpu", landmark_finder: LandmarkFinder | None = None):
        self._cascade = Cascade("cuda" if device == "cuda" else "cpu")  # MPS is no faster for networks this small
        self._landmark_finder = landmark_finder or LandmarkFinder(device)

    def detect(self, image: np.ndarray, largest: bool = False) -> list[Face]:
        """All faces of an image (H, W, 3) uint8 RGB, the largest first; an empty list where there is none.

        Looks at a copy of at most 1024 px, where MTCNN is fast and finds fewest false faces, and then for smaller faces
        at copies of twice the size, up to the image itself. largest: the largest alone, which takes a fifth of the time
        where it is not small; larger copies are looked at only where nothing was found.

        Where a face may not be upright, or none was found, the image is also looked at in quarter turns. Of faces at
        one place the most probable is kept, and none that was found in a turned image and is in doubt there.
        """
        faces = self._detect_upright(image, largest)
        if not faces or not all(self._is_upright(image, face) for face in faces):
            faces = self._best_turned(image, faces, largest)
        faces.sort(key=lambda face: face.side, reverse=True)
        return faces[:1] if largest else faces

    def _best_turned(self, image: np.ndarray, faces: list[Face], largest: bool) -> list[Face]:
        """The faces, unless another is more probable at that place in a quarter turn, and others that turns show.

        Where the detector is sure of a face, the photo is likely to be upright: only what is sure in a turn counts.
        """
        sure = any(face.probability >= SURE_PROBABILITY for face in faces)
        candidates = [(face, True) for face in faces]
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            for face in self._detect_upright(turned, largest):
                found = self._is_upright(turned, face)
                if found or not sure:
                    candidates.append((turned_back(face, turns, turned.shape), found))
        boxes = np.array([face.box for face, _ in candidates]).reshape(-1, 4)
        best = suppress_nested(boxes, np.array([face.probability for face, _ in candidates]))
        return [candidates[index][0] for index in best if candidates[index][1]]

    def _is_upright(self, image: np.ndarray, face: Face) -> bool:
        """Whether the detector is sure of a face, and the landmark network finds eyes, nose and mouth where it does."""
        if face.probability < SURE_PROBABILITY:
            return False
        crop = crop_face(image, alignment(face.landmarks, CHECK_SIDE), CHECK_SIDE)
        points = self._landmark_finder.find(crop)[places(FIVE_POINTS)]
        scale = float(np.hypot(*similarity(points, TEMPLATE)[0, :2]))
        return scale < MAX_SCALE and float(np.abs(points - TEMPLATE).max()) < MAX_DEVIATION

    def _detect_upright(self, image: np.ndarray, largest: bool) -> list[Face]:
        scale = min(1.0, DETECTION_SIDE / max(image.shape[:2]))
        faces = self._detect_at(reduced(image, scale), scale, largest=largest)
        while scale < 1 and not (largest and faces):
            coarser, scale = scale, min(1.0, 2 * scale)
            faces = joined(faces, self._detect_in_tiles(reduced(image, scale), scale, MIN_FACE_SIDE * scale / coarser))
        return faces

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
        found = self._cascade.search(np.ascontiguousarray(image), MIN_FACE_SIDE, MIN_PROBABILITY, largest, max_side)
        boxes = (found.boxes + np.tile(origin, 2)) / scale
        # MTCNN measures from the edge of the first pixel, and its windows begin half a pixel before where it believes
        # they do, on average.
        landmarks = (found.landmarks + origin - 0.5) / scale - 0.5
        return [Face(*face) for face in zip(boxes, landmarks, found.probabilities.tolist(), strict=True)]


def turned_back(face: Face, turns: int, shape: tuple[int, ...]) -> Face:
    """A face of an image of a shape (H, W, 3) that came about by quarter turns against the clock, before them."""
    box, landmarks = face.box.reshape(2, 2), face.landmarks
    for _ in range(turns):
        height, width = shape[:2]
        # Boxes are measured from the edge of the frame, landmarks from the centre of the first pixel.
        box = np.stack([height - box[:, 1], box[:, 0]], axis=1)
        landmarks = np.stack([height - 1 - landmarks[:, 1], landmarks[:, 0]], axis=1)
        shape = width, height
    return Face(np.concatenate([box.min(0), box.max(0)]), landmarks, face.probability)


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
