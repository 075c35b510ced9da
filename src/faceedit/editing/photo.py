"""Editing one photo, from a request to a photo that says what was done: for commands, the page and clusters."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from faceedit.circumplex import Affect, Support
from faceedit.editing.like import target_like
from faceedit.editing.occlusion import Occluders
from faceedit.editing.paths import TimedPath
from faceedit.editing.selection import choose_faces, is_largest, select_faces
from faceedit.editing.target import Request
from faceedit.editing.tone import IN_COLOUR, Tone
from faceedit.errors import UsageError
from faceedit.faces.detector import Face, box_text
from faceedit.faces.eyelids import Eye
from faceedit.media.animation import write_animation
from faceedit.media.conversion import to_pil
from faceedit.media.image import Photo, write_photo
from faceedit.media.provenance import COMPOSITE, DRAWN, declared

if TYPE_CHECKING:  # which itself edits by what is here
    from faceedit.editing.editor import FaceEditor

MIN_CROP, MAX_CROP = 16, 8192  # pixels
Layout = Literal["circumplex", "paper"]


@dataclass(frozen=True)
class EditedFace:
    """A face of a photo, and what was done with it.

    number: from 1, the largest. box: xyxy pixels, may leave the frame. source: the affect that it showed. target: the
    affect that was asked for; None where no single one was, as for a grid. nearest_supported: the target, or, where it
    lies beyond what the training labels cover, the nearest affect that they do cover, to which the face went instead.
    reached: the affect that the judge sees after the edit, where it was measured. only: the parts that were edited;
    none for all of the face.
    """

    number: int
    box: tuple[float, float, float, float]
    source: Affect
    target: Affect | None = None
    nearest_supported: Affect | None = None
    reached: Affect | None = None
    only: tuple[str, ...] = ()

    @property
    def beyond_support(self) -> bool:
        """Whether the target lies beyond what the training labels cover."""
        return self.nearest_supported != self.target

    @property
    def edit(self) -> str:
        """What was asked of the face, in words."""
        line = f"face {self.number} at {box_text(self.box)}: {self.source}"
        if self.target is not None:
            line += f" → {self.target}"
        if self.only:
            line += f", {' and '.join(self.only)} only"
        if self.beyond_support:
            line += f", beyond the training labels: going to the nearest supported, {self.nearest_supported}"
        return line

    def __str__(self) -> str:
        return self.edit if self.reached is None else f"{self.edit}; reached {self.reached}"


@dataclass(frozen=True)
class EditResult:
    """An edited photo, which says of itself what was done; its faces that were; and what a person should hear of it."""

    photo: Photo
    faces: tuple[EditedFace, ...]
    notes: tuple[str, ...] = ()

    @property
    def image(self) -> np.ndarray:
        """The edited pixels, (H, W, 3) uint8 RGB."""
        return self.photo.pixels

    def pil(self) -> Image.Image:
        """The edited photo for PIL, with transparency, and with colour profile, EXIF and XMP among its info."""
        return to_pil(self.photo)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the edited photo, whole or not at all, as the command does: with its colour profile, its own metadata
        and what says that it was edited, in the format that the name ends in. Raises ExistsError, UsageError,
        UnwritableError.
        """
        write_photo(path, self.photo, overwrite)


@dataclass(frozen=True)
class Animation:
    """A face of a photo on its way along a path.

    frames: (H, W, 3) uint8 each, drawn as they are asked for, once. like: a photo with what the files shall carry.
    """

    frames: Iterable[np.ndarray]
    timed: TimedPath
    face: EditedFace
    like: Photo

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.timed.targets)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the frames as .webp, .gif or .mp4, or as PNG files in a new folder, with what says that they were
        edited; whole or not at all. Raises UsageError, ExistsError, UnwritableError.
        """
        write_animation(Path(path), self.frames, self.timed.fps, self.timed.loop, self.like, overwrite)


@dataclass(frozen=True)
class EncodedFace:
    """A face of a photo, ready to be decoded.

    matrix: (2, 3), photo pixels to crop pixels. crop: (S, S, 3) uint8. source: the affect that the face shows, as the
    judge sees it. features: what the networks made of it. landmarks: (K, 2), in shares of the crop's side. softness: of
    the photo, see `models.mouth.inpainter.describe`. eyes: where they are in the crop. tone: of the photo. occluders:
    what lies before the face, if anything. parts: of it that are edited, see `parts.PARTS`; none for all of it.
    """

    matrix: np.ndarray
    crop: np.ndarray
    source: Affect
    features: Any
    landmarks: np.ndarray
    softness: float = 0.0
    eyes: tuple[Eye, ...] = ()
    tone: Tone = IN_COLOUR
    occluders: Occluders | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChosenFace:
    """A face of a photo that is ready to be edited. number: from 1, the largest."""

    number: int
    face: Face
    encoded: EncodedFace

    def edited(self, target: Affect | None = None, support: Support | None = None) -> EditedFace:
        """What is done with the face where it goes to a target, under the support of an editor's training labels."""
        x0, y0, x1, y1 = self.face.box.tolist()
        nearest = target if target is None or support is None else support.nearest(target)
        box = (x0, y0, x1, y1)
        return EditedFace(self.number, box, self.encoded.source, target, nearest, only=self.encoded.parts)


def choose_face(editor: "FaceEditor", image: np.ndarray, which: str | int) -> ChosenFace:
    """The one face of an image (H, W, 3) uint8 that "largest" or a number names. Raises NoFaceError, UsageError."""
    if which == "all":
        raise UsageError("this shows one face, not all: choose the largest, or a number")
    faces = editor.detect(image, is_largest(which))
    (face,) = select_faces(faces, which)
    return ChosenFace(faces.index(face) + 1, face, editor.encode(image, face))


def edit_photo(
    editor: "FaceEditor",
    photo: Photo,
    choices: list[tuple[str, Request]],
    crop: bool = False,
    source_metadata: bool = True,
    side: int | None = None,
) -> EditResult:
    """The photo with the chosen faces, each moved to where its request says, and metadata that declare it.

    choices: (which face, request), see `selection.parse_choices`. crop: the networks' own drawing of the one chosen
    face instead, (S, S, 3). side: in pixels, of a crop that is cut from the photo and edited instead of drawn.
    source_metadata: keep the photo's own EXIF and XMP. Of each face in a whole photo, the judge says what affect it
    reached. Raises NoFaceError, UsageError.
    """
    if side is not None and not MIN_CROP <= side <= MAX_CROP:
        raise UsageError(f"the side of a crop must lie between {MIN_CROP} and {MAX_CROP} pixels, not {side}")
    drawn = crop and side is None
    if drawn and any(request.only for _, request in choices):
        raise UsageError("the networks draw a whole face, not a part: give the crop a size, to cut it from the photo")
    photo = photo.drawable() if crop else photo
    faces = editor.detect(photo.pixels, all(is_largest(which) for which, _ in choices))
    chosen = choose_faces(faces, choices)
    if crop and len(chosen) > 1:
        raise UsageError(f"a crop shows one face, not {len(chosen)}: choose one")
    pixels, edited = photo.pixels, []
    for face, request in chosen:
        encoded = replace(editor.encode(pixels, face), parts=request.only)
        ready = ChosenFace(faces.index(face) + 1, face, encoded)
        if request.like is not None:
            nearest = target_like(editor, encoded, request.like)
            request = replace(request, like=replace(request.like, affect=nearest))
        target = request.target(encoded.source)
        if side is not None:
            pixels = next(editor.crop_edits(pixels, encoded, target.row[None], side))
        else:
            pixels = _moved(editor, pixels, ready, target, crop)
        edited.append(ready.edited(target, editor.support))
    if not crop:
        seen = editor.judge.estimate(pixels, [face for face, _ in chosen])
        edited = [replace(face, reached=estimate.affect) for face, estimate in zip(edited, seen, strict=True)]
    return _result(editor, photo, pixels, edited, crop, source_metadata, DRAWN if drawn else COMPOSITE)


def changed_pixels(before: Photo, after: Photo) -> Photo:
    """Where the pixels of two photos of one size differ: a grey photo, white there and black elsewhere."""
    changed = (before.pixels != after.pixels).any(-1, keepdims=True)
    return Photo((255 * changed).repeat(3, 2).astype(np.uint8), grey=True)


def edit_chosen(editor: "FaceEditor", photo: Photo, choices: list[tuple[ChosenFace, Affect]]) -> EditResult:
    """The photo with faces of it that were chosen before, each at its target, and metadata that declare it."""
    pixels = photo.pixels
    for chosen, target in choices:
        pixels = _moved(editor, pixels, chosen, target)
    return _result(editor, photo, pixels, [chosen.edited(target, editor.support) for chosen, target in choices])


def draw_grid(
    editor: "FaceEditor", photo: Photo, chosen: ChosenFace, axis: np.ndarray, layout: Layout = "circumplex"
) -> EditResult:
    """A sheet of a face at each pair of the axis' values (K,), as `FaceEditor.draw_grid` or as in the paper."""
    photo = photo.drawable()
    if layout == "paper":
        sheet = editor.draw_paper_sheet(chosen.encoded, axis)
    else:
        sheet = editor.draw_grid(photo.pixels, chosen.encoded, axis)
    cells = f"{len(axis)}x{len(axis)} valence and arousal from {axis[0]:g} to {axis[-1]:g}"
    picture = Photo(sheet, icc=photo.colour_profile)
    drawn = declared(picture, DRAWN, editor.weights, f"{cells}, from {chosen.encoded.source}")
    return EditResult(drawn, (chosen.edited(),), _notes(photo))


def animate(editor: "FaceEditor", photo: Photo, chosen: ChosenFace, timed: TimedPath, crop: bool = False) -> Animation:
    """A face of a photo on its way along a path, in the whole photo or, with crop, alone."""
    photo = photo.drawable()
    edits = editor.crop_edits if crop else editor.edits
    kind = DRAWN if crop else COMPOSITE
    like = declared(photo.without_metadata(), kind, editor.weights, f"path {timed.path}")
    return Animation(edits(photo.pixels, chosen.encoded, timed.targets), timed, chosen.edited(), like)


def _moved(
    editor: "FaceEditor", pixels: np.ndarray, chosen: ChosenFace, target: Affect, crop: bool = False
) -> np.ndarray:
    return editor.edit_crop(chosen.encoded, target) if crop else editor.edit_face(pixels, chosen.encoded, target)


def _result(
    editor: "FaceEditor",
    photo: Photo,
    pixels: np.ndarray,
    faces: list[EditedFace],
    crop: bool = False,
    source_metadata: bool = True,
    kind: str = COMPOSITE,
) -> EditResult:
    edited = Photo(pixels, icc=photo.colour_profile) if crop else photo.with_pixels(pixels)
    if not source_metadata:
        edited = edited.without_metadata()
    notes = list(_notes(photo))
    what = "; ".join(face.edit for face in faces)
    edited = declared(edited, kind, editor.weights, what, notes.append)
    return EditResult(edited, tuple(faces), tuple(notes))


def _notes(photo: Photo) -> tuple[str, ...]:
    return ("the file holds several pictures: the first is taken",) if photo.animated else ()
