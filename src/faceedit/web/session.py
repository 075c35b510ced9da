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
from faceedit.media import colour
from faceedit.media.image import WRITE_FORMATS, Photo, read_photo

PREVIEW_SIDE = 1024  # pixels: what is shown; the download has the photo's own size
MAX_MEGAPIXELS = 60  # of a photo
MAX_HELD = 1_200_000_000  # bytes of all visitors' photos: 400 megapixels in colour, and fewer with 16 bits or alpha


@dataclass(frozen=True)
class Session:
    """One visitor's photo.

    preview: a copy of at most PREVIEW_SIDE, scale times as large, in sRGB and on white, as a page shows pictures.
    chosen: the face to edit.
    """

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
        self.held: WeakValueDictionary[int, Photo] = WeakValueDictionary()

    def open(self, path: Path) -> Session:
        """A photo with its faces, the largest chosen. Raises UnreadableError, NoFaceError, and UsageError for too many
        pixels.
        """
        photo = read_photo(path)
        self._hold(photo)
        faces = self.editor.detect(photo.pixels)
        if not faces:
            raise NoFaceError("no face was found in the photo")
        estimates = self.editor.judge.estimate(photo.pixels, faces)
        shown = photo.drawable()
        scale = min(1.0, PREVIEW_SIDE / max(shown.pixels.shape[:2]))
        size = [max(round(side * scale), 1) for side in shown.pixels.shape[1::-1]]
        preview = cv2.resize(shown.pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else shown.pixels
        preview = colour.to_srgb(preview, shown.icc)
        suffix = path.suffix.lower() if path.suffix.lower() in WRITE_FORMATS else ".png"
        return Session(photo, suffix, preview, scale, estimates, _chosen(self.editor, photo, estimates, 1))

    def _hold(self, photo: Photo) -> None:
        """Count a photo that is kept in memory while its visitor is there. Raises UsageError for too many pixels."""
        megapixels = photo.pixels.size // 3_000_000
        if megapixels > MAX_MEGAPIXELS:
            raise UsageError(f"the photo has {megapixels} megapixels, more than the {MAX_MEGAPIXELS} of this page")
        if sum(map(_size, list(self.held.values()))) + _size(photo) > MAX_HELD:
            raise UsageError("the page holds as many photos of others as it can: try again later")
        self.held[id(photo)] = photo


def _size(photo: Photo) -> int:
    """Bytes of its pictures."""
    return sum(picture.nbytes for picture in (photo.pixels, photo.alpha, photo.deep) if picture is not None)


def _chosen(editor: FaceEditor, photo: Photo, estimates: list[FaceEstimate], number: int) -> ChosenFace:
    found = estimates[number - 1]
    return ChosenFace(number, found.face, editor.encode(photo.pixels, found.face, found.affect))
