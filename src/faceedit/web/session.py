"""One visitor's photo or film: read, bounded in size, its faces found, and the edits asked for so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from weakref import WeakValueDictionary

import numpy as np

from faceedit.circumplex import Affect
from faceedit.editing.editor import FaceEditor
from faceedit.editing.photo import ChosenFace
from faceedit.editing.target import Request
from faceedit.errors import UsageError, no_upright_face
from faceedit.faces.detector import reduced
from faceedit.faces.estimate import FaceEstimate
from faceedit.files import VIDEO_SUFFIXES
from faceedit.media import colour
from faceedit.media.image import WRITE_FORMATS, Photo, read_photo
from faceedit.media.video import Video, open_video

PREVIEW_SIDE = 1280  # pixels: what is shown; the download has the photo's own size
MAX_MEGAPIXELS = 60  # of a photo
MAX_HELD = 1_200_000_000  # bytes of all visitors' photos: 400 megapixels in colour, and fewer with 16 bits or alpha
MAX_FRAMES = 3000  # of a film: two minutes at 25 a second
MAX_SEARCHED = 100  # frames in which a face is looked for
NO_EDITS: Mapping[int, Request] = MappingProxyType({})


@dataclass(frozen=True)
class Session:
    """One visitor's photo, or a film and the frame of it that stands for it.

    suffix: of the download. preview: (H, W, 3) uint8 in sRGB, on white, at most PREVIEW_SIDE, `scale` times as large as
    the photo. estimates: of its faces, the largest first. encoded: faces by number, as far as they were chosen. number:
    of the face that is chosen, 0 where there is none. steps: the edits by face after each step; at: the step that is
    shown. moving: the last step is still under way, as the mark is dragged. under: the preview with the edits of all
    faces but the chosen one.
    """

    photo: Photo
    suffix: str
    preview: np.ndarray
    scale: float
    film: Video | None = None
    estimates: tuple[FaceEstimate, ...] = ()
    encoded: Mapping[int, ChosenFace] = field(default_factory=dict)
    number: int = 0
    steps: tuple[Mapping[int, Request], ...] = (NO_EDITS,)
    at: int = 0
    moving: bool = False
    under: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def chosen(self) -> ChosenFace:
        return self.encoded[self.number]

    @property
    def edits(self) -> Mapping[int, Request]:
        """Where each edited face goes, by its number."""
        return self.steps[self.at]

    @property
    def target(self) -> Affect:
        """Where the chosen face goes, before the strength is applied; where it is, as long as nothing was asked."""
        request = self.edits.get(self.number)
        if request is None or request.valence is None or request.arousal is None:
            return self.chosen.encoded.source
        return Affect(request.valence, request.arousal)

    @property
    def strength(self) -> float:
        request = self.edits.get(self.number)
        return 1.0 if request is None else request.strength

    @property
    def choices(self) -> list[tuple[ChosenFace, Affect]]:
        """The edited faces and where they go."""
        faces = [(self.encoded[number], request) for number, request in sorted(self.edits.items())]
        return [(face, request.target(face.encoded.source)) for face, request in faces]

    def choosing(self, editor: FaceEditor, number: int) -> "Session":
        """The same photo with another face chosen, by its number from 1."""
        if number in self.encoded:
            return replace(self, number=number, moving=False).looked_at(editor)
        found = self.estimates[number - 1]
        face = ChosenFace(number, found.face, editor.encode(self.photo.pixels, found.face, found.affect))
        encoded = {**self.encoded, number: face}
        return replace(self, encoded=encoded, number=number, moving=False).looked_at(editor)

    def looked_at(self, editor: FaceEditor) -> "Session":
        """The same with the edits of the other faces drawn, so that one face is drawn at each move."""
        image = self.preview
        for face, target in self.choices:
            if face.number != self.number:
                image = editor.edit_face(image, self.in_preview(face).encoded, target)
        return replace(self, under=image)

    def asking(self, request: Request, moving: bool = False) -> "Session":
        """The same with one more step: where the chosen face goes. moving: the next step will replace this one."""
        edits = {**self.edits, self.number: request}
        kept = self.at if self.moving else self.at + 1
        return replace(self, steps=(*self.steps[:kept], edits), at=kept, moving=moving)

    def stepping(self, editor: FaceEditor, steps: int) -> "Session":
        """The same a step back (-1) or forth (1), as far as there are any."""
        at = min(max(self.at + steps, 0), len(self.steps) - 1)
        return replace(self, at=at, moving=False).looked_at(editor)

    def cleared(self, editor: FaceEditor) -> "Session":
        """The same with one more step, which takes all edits away."""
        steps = (*self.steps[: self.at + 1], NO_EDITS)
        return replace(self, steps=steps, at=len(steps) - 1, moving=False).looked_at(editor)

    def drawn(self, editor: FaceEditor) -> np.ndarray:
        """The preview with all edits."""
        if self.number not in self.edits:
            return self.under
        face = self.in_preview(self.chosen)
        return editor.edit_face(self.under, face.encoded, self.edits[self.number].target(face.encoded.source))

    def in_preview(self, face: ChosenFace) -> ChosenFace:
        """A face of the photo, its alignment given in pixels of the preview."""
        matrix = face.encoded.matrix.copy()
        # A pixel at p of the preview lies at (p + 0.5) / scale - 0.5 of the photo.
        matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 / self.scale - 0.5)
        matrix[:, :2] /= self.scale
        return replace(face, encoded=replace(face.encoded, matrix=matrix))


class Sessions:
    """Opens photos and films, as long as those that visitors hold together are few enough for the memory."""

    def __init__(self, editor: FaceEditor):
        self.editor = editor
        self.held: WeakValueDictionary[int, Photo] = WeakValueDictionary()

    def open(self, path: Path) -> Session:
        """A photo, or a film with its first frame; no face has been looked for. Raises UnreadableError, and UsageError
        for too many pixels or frames.
        """
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            film = open_video(path)
            if film.frames > MAX_FRAMES:
                raise UsageError(f"the film has {film.frames} frames, more than the {MAX_FRAMES} of this page")
            return self._held(Photo(next(iter(film))), ".mov" if film.alpha else ".mp4", film)
        return self._held(read_photo(path), suffix if suffix in WRITE_FORMATS else ".png")

    def find(self, session: Session) -> Session:
        """The same with its faces found, the largest chosen; of a film, in the first frame that has any. Raises
        NoFaceError."""
        frames = [session.photo.pixels] if session.film is None else islice(session.film, MAX_SEARCHED)
        for pixels in frames:
            faces = self.editor.detect(pixels)
            if faces:
                break
        else:
            raise no_upright_face("the photo" if session.film is None else f"the film's first {MAX_SEARCHED} frames")
        if session.film is not None:
            session = self._held(Photo(pixels), session.suffix, session.film)
        estimates = tuple(self.editor.judge.estimate(pixels, faces))
        session = replace(session, estimates=estimates).choosing(self.editor, 1)
        session.asking(Request(0, 0)).drawn(self.editor)  # the first edit takes longer: let it not be the visitor's
        return session

    def _held(self, photo: Photo, suffix: str, film: Video | None = None) -> Session:
        self._hold(photo)
        scale = min(1.0, PREVIEW_SIDE / max(photo.pixels.shape[:2]))
        shown = photo.drawable()
        preview = colour.to_srgb(reduced(shown.pixels, scale), shown.icc)
        return Session(photo, suffix, preview, scale, film, under=preview)

    def _hold(self, photo: Photo) -> None:
        """Count a photo that is kept in memory while its visitor is there. Raises UsageError for too many pixels."""
        megapixels = photo.pixels.size // 3_000_000
        if megapixels > MAX_MEGAPIXELS:
            raise UsageError(f"the photo has {megapixels} megapixels, more than the {MAX_MEGAPIXELS} of this page")
        if sum(map(_size, list(self.held.values()))) + _size(photo) > MAX_HELD:
            raise UsageError("the page holds as many photos of others as it can: try again later")
        self.held[id(photo)] = photo


def _size(photo: Photo) -> int:
    """Bytes of its pictures, and of what its file carried beside them."""
    carried = [photo.icc, photo.exif, photo.xmp, photo.photoshop, *photo.comments, *(text for _, text in photo.texts)]
    pictures = (photo.pixels, photo.alpha, photo.deep)
    return sum(len(text) for text in carried if text) + sum(part.nbytes for part in pictures if part is not None)
