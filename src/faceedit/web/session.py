"""One visitor's photo: read, bounded in size, and its faces found."""

from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakValueDictionary

import cv2
import numpy as np

from faceedit.editing.editor import FaceEditor
from faceedit.editing.photo import ChosenFace
from faceedit.errors import NoFaceError, UsageError
from faceedit.faces.estimate import FaceEstimate
from faceedit.media.image import WRITE_FORMATS, Photo, read_photo

PREVIEW_SIDE = 1024  # pixels: what is shown; the download has the photo's own size
MAX_MEGAPIXELS = 60  # of a photo; each takes 3 MB while its visitor is there
MAX_HELD_MEGAPIXELS = 400  # of all visitors' photos


@dataclass(frozen=True)
class Session:
    """One visitor's photo. preview: a copy of at most PREVIEW_SIDE, scale times as large. chosen: the face to edit."""

    photo: Photo
    suffix: str
    preview: np.ndarray
    scale: float
    estimates: list[FaceEstimate]
    chosen: ChosenFace

    @property
    def chosen_in_preview(self) -> ChosenFace:
        """The chosen face, its alignment given in pixels of the preview."""
        matrix = self.chosen.encoded.matrix.copy()
        # A pixel at p of the preview lies at (p + 0.5) / scale - 0.5 of the photo.
        matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 / self.scale - 0.5)
        matrix[:, :2] /= self.scale
        return replace(self.chosen, encoded=replace(self.chosen.encoded, matrix=matrix))

    def choosing(self, editor: FaceEditor, number: int) -> "Session":
        """The same photo with another face to edit, by its number from 1."""
        return replace(self, chosen=_chosen(editor, self.photo, self.estimates, number))


class Sessions:
    """Opens photos, as long as those that visitors hold together are few enough for the memory."""

    def __init__(self, editor: FaceEditor):
        self.editor = editor
        self.held: WeakValueDictionary[int, np.ndarray] = WeakValueDictionary()

    def open(self, path: Path) -> Session:
        """A photo with its faces, the largest chosen. Raises UnreadableError, NoFaceError, and UsageError for too many
        pixels.
        """
        photo = read_photo(path)
        self._hold(photo.pixels)
        faces = self.editor.detect(photo.pixels)
        if not faces:
            raise NoFaceError("no face was found in the photo")
        estimates = self.editor.judge.estimate(photo.pixels, faces)
        scale = min(1.0, PREVIEW_SIDE / max(photo.pixels.shape[:2]))
        size = [max(round(side * scale), 1) for side in photo.pixels.shape[1::-1]]
        preview = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo.pixels
        suffix = path.suffix.lower() if path.suffix.lower() in WRITE_FORMATS else ".png"
        return Session(photo, suffix, preview, scale, estimates, _chosen(self.editor, photo, estimates, 1))

    def _hold(self, pixels: np.ndarray) -> None:
        """Count a photo that is kept in memory while its visitor is there. Raises UsageError for too many pixels."""
        megapixels = pixels.size // 3_000_000
        if megapixels > MAX_MEGAPIXELS:
            raise UsageError(f"the photo has {megapixels} megapixels, more than the {MAX_MEGAPIXELS} of this page")
        held = sum(other.size // 3_000_000 for other in list(self.held.values()))
        if held + megapixels > MAX_HELD_MEGAPIXELS:
            raise UsageError("the page holds as many photos of others as it can: try again later")
        self.held[id(pixels)] = pixels


def _chosen(editor: FaceEditor, photo: Photo, estimates: list[FaceEstimate], number: int) -> ChosenFace:
    found = estimates[number - 1]
    return ChosenFace(number, found.face, editor.encode(photo.pixels, found.face, found.affect))
