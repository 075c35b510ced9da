"""Faces that lie on their side or upside down: finding them upright in quarter turns of the image, or refusing them.

MTCNN learnt upright faces. It finds one in five of turned ones, and puts eyes and mouths elsewhere. Coordinates are
those of `mtcnn`; turns are counted against the clock.
"""

from functools import cached_property

import cv2
import numpy as np

from faceedit.faces.alignment import alignment
from faceedit.faces.eyes import ANCHOR_CROP, LandmarkFinder
from faceedit.faces.mtcnn import Cascade, Detections, suppress_nested

TURNS = (1, 2, 3)
# Of 150 upright faces, 130 were SURE and 4 less than PROBABLE, none was less probable than after a turn, and landmarks
# of both networks were never further apart than MAX_APART. Of 85 faces that MTCNN found in quarter turns of these, none
# was SURE, 70 were more probable once turned back, and the others less than PROBABLE.
SURE, PROBABLE = 0.9995, 0.99
MAX_APART = 0.07  # the mean distance of their landmarks, in shares of a crop's side
CLOSER = 0.75  # of that distance: a face gives way to one after a turn whose landmarks are this close; by eye
PART = 1.0  # of a face's side, how much is looked at around it


class QuarterTurns:
    """Checks whether faces stand upright, and finds those that do not."""

    def __init__(self, cascade: Cascade, device: str):
        self._cascade, self._device = cascade, device

    @cached_property
    def _finder(self) -> LandmarkFinder:
        return LandmarkFinder(self._device)  # most photos need none

    def upright(self, image: np.ndarray, found: Detections) -> Detections:
        """The faces found in an image (H, W, 3), those that lie turned as they are found in a quarter turn; without
        those that stand upright in none."""
        return _joined([self._upright(image, face) for face in found.each()])

    def search(self, image: np.ndarray, min_side: float, largest: bool) -> Detections:
        """The faces that stand upright in a quarter turn of an image (H, W, 3), of which none shows faces itself."""
        found = []
        for turns in TURNS:
            turned = np.ascontiguousarray(np.rot90(image, turns))
            faces = self._cascade.search(turned, min_side, PROBABLE, largest)
            apart = np.array([self._apart(turned, points) for points in faces.landmarks])
            found.append(_turned_back(faces.where(apart <= MAX_APART), turns, image.shape))
        together = _joined(found)
        return together.where(suppress_nested(together.boxes, together.probabilities))

    def _upright(self, image: np.ndarray, face: Detections) -> Detections:
        """The one face as it stands upright, or none."""
        (probability,) = face.probabilities
        if probability >= SURE:
            return face
        side = PART * face.sides.max()
        low = (face.boxes[0, :2] - side).clip(0).astype(int)
        high = np.ceil(face.boxes[0, 2:] + side).clip(0).astype(int)
        part = image[low[1] : high[1], low[0] : high[0]]
        inside = face.moved(-low)
        others = [_turned(inside.boxes[0], turns, part.shape) for turns in TURNS]
        views = [np.ascontiguousarray(np.rot90(part, turns)) for turns in TURNS]
        turned = [self._cascade.probability(view, box) for view, box in zip(views, others, strict=True)]
        if probability >= PROBABLE and max(turned) < self._cascade.probability(part, inside.boxes[0]):
            return face
        best, apart = face, self._apart(image, face.landmarks[0])
        limit = CLOSER * apart
        for turns, view in zip(TURNS, views, strict=True):
            for other in self._cascade.search(view, face.sides[0] / 2, max(PROBABLE, probability)).each():
                back = _turned_back(other, turns, part.shape).moved(low)
                distance = self._apart(view, other.landmarks[0])
                if distance < limit and _same_place(face.boxes[0], back.boxes[0]):
                    best, apart, limit = back, distance, distance
        return best if apart <= MAX_APART else face.where(np.zeros(1, bool))

    def _apart(self, image: np.ndarray, landmarks: np.ndarray) -> float:
        """The mean distance of a face's landmarks (5, 2) from those of the landmark network, in shares of the crop."""
        landmarks = landmarks - 1  # see `FaceDetector`
        matrix = alignment(landmarks, ANCHOR_CROP)
        wanted = cv2.transform(landmarks[None], matrix)[0]
        return float(np.hypot(*(self._finder.anchors(image, matrix) - wanted).T).mean()) / ANCHOR_CROP


def _joined(found: list[Detections]) -> Detections:
    parts = zip(*(vars(faces).values() for faces in found or [Detections.none()]), strict=True)
    return Detections(*(np.concatenate(part) for part in parts))


def _turned(box: np.ndarray, turns: int, shape: tuple[int, ...]) -> np.ndarray:
    """A box (4,) of an image of a shape (H, W, 3) after quarter turns of it."""
    height, width = shape[:2]
    x0, y0, x1, y1 = box
    for _ in range(turns):
        x0, y0, x1, y1 = y0, width + 1 - x1, y1, width + 1 - x0
        height, width = width, height
    return np.array([x0, y0, x1, y1])


def _turned_back(faces: Detections, turns: int, shape: tuple[int, ...]) -> Detections:
    """Faces of an image of a shape (H, W, 3) that were found after quarter turns of it."""
    boxes, landmarks = faces.boxes, faces.landmarks
    for turn in range(turns, 0, -1):
        # MTCNN's positions lie half a pixel further, on average, than those measured from the edge of the frame.
        end = shape[turn % 2] + 1
        boxes = np.stack([end - boxes[:, 3], boxes[:, 0], end - boxes[:, 1], boxes[:, 2]], axis=1)
        landmarks = np.stack([end - landmarks[..., 1], landmarks[..., 0]], axis=-1)
    return Detections(boxes, faces.probabilities, landmarks)


def _same_place(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether the middle of each of two boxes (4,) lies in the other."""
    middle, other_middle = ((one[:2] + one[2:]) / 2 for one in (box, other))
    inside = (other[:2] < middle) & (middle < other[2:]) & (box[:2] < other_middle) & (other_middle < box[2:])
    return bool(inside.all())
