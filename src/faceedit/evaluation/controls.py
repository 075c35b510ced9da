"""What is measured beside an editor: controls that edit nothing of their own, which tell what a measure can and cannot
see; and an editor's drawings, without what makes a photo of them."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from faceedit.data.labels import Label
from faceedit.editing.editor import FaceEditor
from faceedit.editing.photo import EncodedFace
from faceedit.faces.alignment import alignment, crop_face, paste_back
from faceedit.faces.detector import Face, FaceDetector
from faceedit.faces.estimate import AffectEstimator
from faceedit.media.image import read_photo
from faceedit.models.estimator import CROP_SIZE

SWAP_CANDIDATES = 8


class CopyEditor:
    """A control that gives the photo back: all fidelity, and no expression asked for."""

    def __init__(self, judge: AffectEstimator):
        self.judge = judge

    def encode(self, image: np.ndarray, face: Face) -> EncodedFace:
        matrix = alignment(face.landmarks, CROP_SIZE)
        source = self.judge.estimate(image, [face])[0].affect
        return EncodedFace(matrix, crop_face(image, matrix, CROP_SIZE), source, None, np.empty((0, 2)))

    def edits(self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray) -> Iterator[np.ndarray]:
        return (image for _ in targets)


class SwapEditor(CopyEditor):
    """A control that puts another person who shows about the target affect in the face's place."""

    def __init__(self, judge: AffectEstimator, labels: list[Label], photos: Path, detector: FaceDetector, seed: int):
        super().__init__(judge)
        self.labels, self.photos, self.detector = labels, photos, detector
        self.affect = np.array([(label.valence, label.arousal) for label in labels])
        self.rng = np.random.default_rng(seed)
        self.crops: dict[str, np.ndarray | None] = {}

    def edits(self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray) -> Iterator[np.ndarray]:
        for target in targets:
            near = np.hypot(*(self.affect - target[:2]).T).argsort()[:SWAP_CANDIDATES]
            crops = (self._crop(self.labels[i].file) for i in self.rng.permutation(near))
            own = encoded.crop  # the photos swapped in are those that the subjects were chosen from
            crop = next((crop for crop in crops if crop is not None and not np.array_equal(crop, own)), None)
            yield image if crop is None else paste_back(image, encoded.matrix, crop)

    def _crop(self, file: str) -> np.ndarray | None:
        if file not in self.crops:
            image = read_photo(self.photos / file).pixels
            faces = self.detector.detect(image)
            self.crops[file] = crop_face(image, alignment(faces[0].landmarks, CROP_SIZE), CROP_SIZE) if faces else None
        return self.crops[file]


class DrawnEditor(CopyEditor):
    """An editor's own drawings of the face, laid over the photo as they are: what the paper shows."""

    def __init__(self, editor: FaceEditor):
        super().__init__(editor.judge)
        self.editor = editor

    def encode(self, image: np.ndarray, face: Face) -> EncodedFace:
        return self.editor.encode(image, face)

    def edits(self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray) -> Iterator[np.ndarray]:
        for drawing in self.editor.drawings(encoded, targets):
            laid = image.copy()
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            size = (image.shape[1], image.shape[0])
            cv2.warpAffine(drawing, encoded.matrix, size, laid, flags, borderMode=cv2.BORDER_TRANSPARENT)
            yield laid
