"""FaceEditor: photo → faces → edit → photo. A face is encoded once and decoded for any number of targets."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from faceedit.circumplex import Affect, affect_grid, grid_axis
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.device import resolve_device
from faceedit.editing.backends import Backend, FaceEdit
from faceedit.editing.compositing import FINER, apply_edit, rows_below
from faceedit.editing.mouth import MouthInpainting
from faceedit.editing.occlusion import OcclusionFinder
from faceedit.editing.parts import part_mask
from faceedit.editing.paths import timed_path
from faceedit.editing.photo import (
    Animation,
    EditResult,
    EncodedFace,
    Layout,
    animate,
    choose_face,
    draw_grid,
    edit_photo,
)
from faceedit.editing.selection import is_largest
from faceedit.editing.target import Request
from faceedit.editing.tone import tone_of
from faceedit.editing.tracking import is_still
from faceedit.editing.video import EditedVideo, edit_video
from faceedit.errors import FaceEditError, failure
from faceedit.faces.alignment import alignment, crop_face, scaled
from faceedit.faces.detector import Face, FaceDetector, checked
from faceedit.faces.estimate import AffectEstimator, FaceEstimate
from faceedit.faces.eyes import LandmarkFinder, find_eyes
from faceedit.kinds import KINDS, class_at
from faceedit.media.conversion import ImageLike, as_photo
from faceedit.media.sheet import circumplex_grid, paper_sheet
from faceedit.pool import in_turn, one_core
from faceedit.weights import Weights, load_weights

BACKENDS = {name: kind.backend for name, kind in KINDS.items() if kind.backend is not None}
GRID_CELL = 160  # pixels
ANIMATION_SIDE = 384  # pixels, of the face alone


class FaceEditor:
    """Edits the expression of faces in photos.

    `edit`, `edit_many`, `estimate`, `grid` and `animate` take paths, PIL images and arrays; `edit_video` takes the path
    of a video. The other methods, of which these are made, take images as (H, W, 3) uint8 RGB. Several threads may use
    one editor. Raises UsageError for values out of their range, NoFaceError where there is no face.
    """

    @one_core()  # small weights are laid out in memory sooner
    def __init__(self, weights: Weights, judge: AffectEstimator, device: str = "cpu"):
        self.weights = weights
        self.judge = judge
        self.support = weights.support
        self.device = device
        self.detector = FaceDetector(device)
        self.landmark_finder = LandmarkFinder(device)
        self.occlusion = OcclusionFinder(device)
        self.backend: Backend = class_at(BACKENDS[weights.kind])(weights.model, device)
        self.mouths = MouthInpainting(device)

    @classmethod
    def from_pretrained(cls, weights: str = DEFAULT_WEIGHTS, device: str = "auto") -> "FaceEditor":
        """An editor with published weights by name or path, on auto, cpu, cuda or mps. Raises WeightsError."""
        device = resolve_device(device)
        judge = AffectEstimator.from_pretrained(device=device)
        return cls(load_weights(weights, device, tuple(BACKENDS)), judge, device)

    def detect(self, image: np.ndarray, largest: bool = False) -> list[Face]:
        """The faces of an image, the largest first; or the largest alone, which is found sooner."""
        return self.detector.detect(checked(image), largest)

    def edit(
        self,
        image: ImageLike,
        valence: float | None = None,
        arousal: float | None = None,
        face: str | int = "largest",
        *,
        emotion: str | None = None,
        intensity: float | None = None,
        relative: bool = False,
        strength: float = 1.0,
        only: tuple[str, ...] = (),
        source_metadata: bool = True,
    ) -> EditResult:
        """The image with the chosen faces at this valence and arousal, each in [-1, 1]; all else stays as it is.

        image: the path of a photo, a PIL image, or an array, see `media.conversion.as_photo`. face: "largest", "all",
        or a number from 1, counted from the largest. emotion (instead of valence and arousal), intensity, relative,
        strength, only: as `Request` explains them. source_metadata: keep the photo's own EXIF and XMP. Of each face,
        the result has the affect that the judge sees after the edit. Raises UsageError, NoFaceError, UnreadableError.
        """
        request = Request(valence, arousal, emotion, intensity, relative, strength, only)
        return self._edited(image, request, face, source_metadata)

    def edit_many(
        self, images: Iterable[ImageLike], request: Request, face: str | int = "largest", source_metadata: bool = True
    ) -> Iterator[EditResult | FaceEditError]:
        """What `edit` gives for each image, in their order, or the error that it ended with; some are edited meanwhile.

        images: are asked for as they are needed, a few ahead, and may be more than fit into memory. Raises UsageError
        for a face that makes no sense.
        """
        is_largest(face)
        turns = in_turn(lambda image: self._edited(image, request, face, source_metadata), images)
        for number, (_, done) in enumerate(turns, 1):
            try:
                result: EditResult | FaceEditError = done.result()
            except Exception as error:  # whatever a library raises for one image must not end the others
                result = failure(f"image {number} could not be edited", error)
            del done  # and with it the photo
            yield result
            del result

    def estimate(self, image: ImageLike) -> list[FaceEstimate]:
        """How each face of an image looks, the largest first: its affect, and the probability of each expression."""
        pixels = as_photo(image).pixels
        return self.judge.estimate(pixels, self.detect(pixels))

    def grid(
        self,
        image: ImageLike,
        steps: int = 7,
        extent: float = 0.75,
        face: str | int = "largest",
        *,
        layout: Layout = "circumplex",
    ) -> EditResult:
        """A sheet of one face edited over the plane: a labelled grid, valence left to right, arousal bottom to top.

        layout: "paper" gives the sheet of the paper, drawn by the networks alone.
        """
        axis, photo = grid_axis(steps, extent), as_photo(image).drawable()
        return draw_grid(self, photo, choose_face(self, photo.pixels, face), axis, layout)

    def animate(
        self,
        image: ImageLike,
        path: str = "circle",
        seconds: float = 4.0,
        fps: float = 20.0,
        *,
        loop: bool = True,
        face: str | int = "largest",
        crop: bool = False,
    ) -> Animation:
        """One face of an image on its way along a path, whose frames are drawn as they are asked for.

        path: "circle", emotions as in "happy,surprised,neutral", or points as in "0,0 0.8,0.2". loop: lead back to the
        start, and repeat. crop: show the face alone.
        """
        timed, photo = timed_path(path, seconds, fps, loop), as_photo(image)
        return animate(self, photo, choose_face(self, photo.pixels, face), timed, crop)

    def edit_video(
        self,
        video: str | Path,
        output: str | Path,
        request: Request,
        face: str | int = "largest",
        *,
        source_metadata: bool = True,
        overwrite: bool = False,
    ) -> EditedVideo:
        """Write a video as .mp4 or .mov, whole or not at all, in which one face goes where the request says.

        The face is followed from frame to frame. Sound, time stamps, colours and size stay as they are. video: the
        path of a file. face: "largest" or a number from 1, in the first frame that has it. source_metadata: keep what
        the file says of itself. Raises UsageError, ExistsError, NoFaceError, UnreadableError, UnwritableError.
        """
        return edit_video(self, video, output, request, face, source_metadata, overwrite)

    def encode(self, image: np.ndarray, face: Face, source: Affect | None = None) -> EncodedFace:
        """Align a face, see what affect it shows unless it is known, and bring it to where targets can be decoded."""
        source = source or self.judge.estimate(image, [face])[0].affect
        landmarks = self.landmark_finder.settled(image, face).landmarks
        return self.encode_aligned(image, alignment(landmarks, self.backend.size), source)

    def encode_aligned(
        self, image: np.ndarray, matrix: np.ndarray, source: Affect, before: EncodedFace | None = None
    ) -> EncodedFace:
        """A face whose alignment (2, 3) and affect are known, brought to where targets can be decoded.

        before: the same face a moment ago in a film: what hardly changes while it hardly moves is taken from there.
        """
        crop = crop_face(image, matrix, self.backend.size)
        fine = crop_face(image, scaled(matrix, FINER), self.backend.size * FINER)
        landmarks = self.landmark_finder.find(fine)
        still = before if before and is_still(before, crop, landmarks) else None
        features = self.backend.encode(crop, fine, source, landmarks, still and still.features)
        softness = before.softness if before else self.mouths.softness(image, matrix, self.backend.size)
        occluders = still.occluders if still else self.occlusion.find(fine, landmarks)
        eyes = find_eyes(landmarks, fine)
        eyes = occluders.uncovered(eyes) if occluders else eyes
        return EncodedFace(matrix, crop, source, features, landmarks, softness, eyes, tone_of(crop), occluders)

    def face_edits(self, encoded: EncodedFace, targets: np.ndarray) -> Iterator[FaceEdit]:
        """The edit of an encoded face for each target (N, 2), or (N, 2 + E) as in `circumplex.Affect.row`, or for the
        nearest supported: see `backends`."""
        edits = self.backend.edits(encoded.features, self._supported(targets))
        if encoded.occluders:
            edits = map(encoded.occluders.spare, edits)
        if not encoded.parts:
            return edits
        mask = part_mask(encoded.landmarks, encoded.parts, FINER * self.backend.size)
        return (edit.within(mask, "mouth" in encoded.parts) for edit in edits)

    def apply(self, image: np.ndarray, matrix: np.ndarray, edit: FaceEdit, encoded: EncodedFace) -> np.ndarray:
        """The image with an edit of one encoded face; matrix: (2, 3), image pixels to crop pixels."""
        image = apply_edit(image, matrix, edit.flow, encoded.tone.added(edit.residual), encoded.eyes)
        if edit.mouth is None:
            return image
        return self.mouths.inpaint(image, matrix, self.backend.size, edit.mouth, encoded.softness, encoded.tone)

    def edit_face(self, image: np.ndarray, encoded: EncodedFace, target: Affect) -> np.ndarray:
        """The image with one encoded face of it moved to the target, or to the nearest supported affect."""
        if target.pair == encoded.source.pair:
            return image  # also where the face's own affect is not supported
        return next(self.edits(image, encoded, target.row[None]))

    def edits(self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray) -> Iterator[np.ndarray]:
        """The image with one encoded face of it moved to each target (N, 2) in turn, or to the nearest supported."""
        return self._edits(image, encoded, encoded.matrix, targets)

    def crop_edits(
        self, image: np.ndarray, encoded: EncodedFace, targets: np.ndarray, side: int = ANIMATION_SIDE
    ) -> Iterator[np.ndarray]:
        """The aligned crop (side, side, 3) of an encoded face, cut from the image, at each target (N, 2) in turn."""
        scale = side / self.backend.size
        crop = crop_face(image, scaled(encoded.matrix, scale), side, rows_below(side))  # what jaws that rise reveal
        edits = self._edits(crop, encoded, scaled(np.eye(2, 3), 1 / scale), targets)
        return (edit[:side] for edit in edits)

    def drawings(self, encoded: EncodedFace, targets: np.ndarray) -> np.ndarray:
        """Crops (N, S, S, 3) of the face as the networks draw it, or else its crop, edited."""
        drawn = self.backend.drawings(encoded.features, self._supported(targets))
        return np.stack(list(self._edits(encoded.crop, encoded, np.eye(2, 3), targets))) if drawn is None else drawn

    def edit_crop(self, encoded: EncodedFace, target: Affect) -> np.ndarray:
        """The networks' own drawing of the face at the target, (S, S, 3) uint8, as in the paper."""
        return self.drawings(encoded, target.row[None])[0]

    def draw_grid(self, image: np.ndarray, encoded: EncodedFace, axis: np.ndarray) -> np.ndarray:
        """The labelled grid of one encoded face; cells beyond the training labels show the nearest, and are marked."""
        targets = affect_grid(axis)
        cells = np.stack(list(self.crop_edits(image, encoded, targets, GRID_CELL)))
        unsupported = np.array([not self.support.covers(*target) for target in targets.tolist()])
        source = encoded.source.pair
        shape = (len(axis), len(axis))
        return circumplex_grid(cells.reshape(*shape, *cells.shape[1:]), axis, source, unsupported.reshape(shape))

    def draw_paper_sheet(self, encoded: EncodedFace, axis: np.ndarray) -> np.ndarray:
        """The paper's sheet: the input crop, and the networks' own drawings with valence downwards from + to -."""
        cells = self.drawings(encoded, affect_grid(axis))
        return paper_sheet(encoded.crop, cells.reshape(len(axis), len(axis), *cells.shape[1:]))

    def _edited(self, image: ImageLike, request: Request, face: str | int, source_metadata: bool) -> EditResult:
        return edit_photo(self, as_photo(image), [(str(face), request)], source_metadata=source_metadata)

    def _edits(
        self, image: np.ndarray, encoded: EncodedFace, matrix: np.ndarray, targets: np.ndarray
    ) -> Iterator[np.ndarray]:
        for edit in self.face_edits(encoded, targets):
            yield self.apply(image, matrix, edit, encoded)

    def _supported(self, targets: np.ndarray) -> np.ndarray:
        """The targets, those beyond the support of the training labels moved to its edge."""
        rows = np.array(targets, np.float32)
        for row in rows:
            row[:2] = self.support.nearest(Affect(*row[:2].tolist())).pair
        return rows
