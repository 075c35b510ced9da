"""Measures an editor on labelled photos: does the asked expression arrive, and is it still the same photo?

Every figure comes from the whole way, photo to photo. The estimator that judges gives no editor a training signal.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from faceedit.circumplex import CLASS_MEANS, Support, affect_grid, emotion_from, grid_axis
from faceedit.data.labels import VALIDATION, Label, photos_folder, read_labels
from faceedit.editing.compositing import rows_below
from faceedit.editing.editor import FaceEditor
from faceedit.editing.photo import EncodedFace
from faceedit.errors import UnreadableError
from faceedit.evaluation.controls import CopyEditor
from faceedit.evaluation.figures import Figures, Subject, summarise
from faceedit.evaluation.metrics import psnr, sharpness, ssim
from faceedit.evaluation.speed import speed
from faceedit.faces.alignment import alignment, crop_face, feather_mask
from faceedit.faces.detector import Face, FaceDetector
from faceedit.faces.estimate import AffectEstimator
from faceedit.faces.identity import FaceEmbedder
from faceedit.media.image import read_photo
from faceedit.media.sheet import tile
from faceedit.models.estimator import CROP_SIZE

SHEET_CELL = 96


def choose_labels(source: str | Path, faces: int, seed: int) -> tuple[list[Label], list[Label], Path]:
    """The labels of `faces` photos chosen by the seed, all that they were chosen from, and the photos' folder.

    Where the labels name a validation split, only that is used. Raises UnreadableError.
    """
    labels = read_labels(source)
    pool = [label for label in labels if label.split == VALIDATION] or labels
    order = np.random.default_rng(seed).permutation(len(pool))[:faces]
    return [pool[i] for i in order], pool, photos_folder(Path(source), labels)


def evaluate(
    labels: list[Label],
    photos: Path,
    editor: FaceEditor | CopyEditor,
    judge: AffectEstimator,
    detector: FaceDetector,
    embedder: FaceEmbedder | None,
    support: Support,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Figures, list[Subject]]:
    """Edit the largest face of each photo to the 7×7 grid and measure the edits; the figures, and each subject.

    embedder: None leaves identity out. support: where an editor's training labels lie. Photos that cannot be read or
    have no face are passed over. Raises UnreadableError when that leaves none.
    """
    targets = affect_grid(grid_axis())
    subjects = []
    for done, label in enumerate(labels, 1):
        faces: list[Face] = []
        with suppress(UnreadableError):
            image = read_photo(photos / label.file).pixels
            faces = detector.detect(image)
        if faces:
            subjects.append(_measure(label, image, faces[0], editor, judge, embedder, targets))
        progress(done, len(labels))
    if not subjects:
        raise UnreadableError("none of the photos has a face: there is nothing to evaluate")
    supported = np.array([support.covers(*target) for target in targets.tolist()])
    figures = summarise(subjects, targets, supported)
    figures["speed"] = speed(editor, photos / subjects[0].label.file, detector, targets)
    return figures, subjects


def worst_median_best(subjects: list[Subject], support: Support) -> np.ndarray:
    """A sheet of the grids of three faces, by how far their edits lie from the request; each grid beside the next."""
    targets = affect_grid(grid_axis())
    supported = np.array([support.covers(*target) for target in targets.tolist()])
    errors = [np.hypot(*(s.estimates - targets)[supported].T).mean() for s in subjects]
    order = np.argsort(errors)[::-1]
    steps = round(len(targets) ** 0.5)
    chosen = [subjects[order[i]] for i in (0, len(order) // 2, -1)]
    grids = [tile(subject.cells.reshape(steps, steps, *subject.cells.shape[1:])) for subject in chosen]
    gap = np.full((grids[0].shape[0], SHEET_CELL // 4, 3), 255, np.uint8)
    return np.concatenate([grids[0], gap, grids[1], gap, grids[2]], axis=1)


def _measure(
    label: Label,
    image: np.ndarray,
    face: Face,
    editor: FaceEditor | CopyEditor,
    judge: AffectEstimator,
    embedder: FaceEmbedder | None,
    targets: np.ndarray,
) -> Subject:
    matrix = alignment(face.landmarks, CROP_SIZE)
    encoded = editor.encode(image, face)
    edited = list(editor.edits(image, encoded, targets))
    crop = crop_face(image, matrix, CROP_SIZE)
    crops = np.stack([crop_face(edit, matrix, CROP_SIZE) for edit in edited])
    identity = None
    if embedder is not None:
        vectors = embedder.embed([image, *edited], face)
        identity = (vectors[1:] @ vectors[0]).numpy()
    (same,) = editor.edits(image, encoded, np.array([encoded.source.pair], np.float32))
    same = crop_face(same, matrix, CROP_SIZE)
    places = np.stack([emotion_from(encoded.source, name).row for name in CLASS_MEANS])
    named = np.stack([crop_face(edit, matrix, CROP_SIZE) for edit in editor.edits(image, encoded, places)])
    inside = feather_mask(CROP_SIZE) > 0.5
    outside = max(_change_outside(image, edit, encoded) for edit in edited)
    (own,) = _cells([crop])
    cells = _cells(crops)
    return Subject(
        label=label,
        estimates=judge.estimate_crops(crops)[0],
        looks=judge.estimate_crops(named)[1].argmax(1),
        identity=identity,
        change=np.abs(crops.astype(np.int16) - crop).mean(axis=(1, 2, 3)),
        sharpness=np.array([sharpness(c, inside) for c in crops]) / max(sharpness(crop, inside), 1e-6),
        outside=outside,
        psnr=psnr(crop, same),
        ssim=ssim(crop, same),
        best_psnr=max(psnr(own, cell) for cell in cells),
        smoothness=_smoothness(crops),
        cells=cells,
    )


def _cells(crops: Iterable[np.ndarray]) -> np.ndarray:
    """Crops as small as the paper's."""
    return np.stack([cv2.resize(crop, (SHEET_CELL, SHEET_CELL), interpolation=cv2.INTER_AREA) for crop in crops])


def _change_outside(image: np.ndarray, edit: np.ndarray, encoded: EncodedFace) -> int:
    """The largest change of a pixel outside the crop that was edited and the rows below it, where jaws drop to."""
    size = len(encoded.crop)
    covered = cv2.warpAffine(
        np.ones((size + rows_below(size), size), np.uint8),
        encoded.matrix,
        (image.shape[1], image.shape[0]),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
    )
    return int((np.abs(edit.astype(np.int16) - image).max(-1) * (covered == 0)).max())


def _smoothness(crops: np.ndarray) -> float:
    """The largest over the median mean change between neighbouring cells; 1 where nothing changes at all."""
    steps = round(len(crops) ** 0.5)
    grid = crops.reshape(steps, steps, *crops.shape[1:]).astype(np.int16)
    changes = np.concatenate([np.abs(np.diff(grid, axis=axis)).mean(axis=(2, 3, 4)).ravel() for axis in (0, 1)])
    return float(changes.max() / max(np.median(changes), 1e-6)) if changes.any() else 1.0
