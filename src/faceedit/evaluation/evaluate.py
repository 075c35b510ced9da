"""Measures an editor on labelled photos: does the asked expression arrive, and is it still the same photo?

Every figure comes from the whole way, photo to photo. The estimator that judges gives no editor a training signal.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np

from faceedit.circumplex import Affect, Support, affect_grid, grid_axis
from faceedit.config import CaaeConfig
from faceedit.data.labels import VALIDATION, Label, photos_folder, read_labels
from faceedit.editing.backends import CaaeEngine, Engine
from faceedit.editing.compositing import rows_below
from faceedit.editing.editor import EncodedFace, FaceEditor
from faceedit.errors import UnreadableError
from faceedit.evaluation.metrics import Interval, agreement, bootstrap, psnr, sharpness, ssim
from faceedit.faces.alignment import alignment, crop_face, feather_mask, paste_crop
from faceedit.faces.detector import Face, FaceDetector
from faceedit.faces.estimate import AffectEstimator
from faceedit.faces.identity import FaceEmbedder
from faceedit.media.image import read_photo
from faceedit.media.sheet import tile
from faceedit.models.caae import Caae
from faceedit.models.estimator import CROP_SIZE

AXES = ("valence", "arousal")
IDENTITY_EXTENT = 0.5  # identity is judged where an edit need not change a face beyond recognition
SWAP_CANDIDATES = 8
GROUP_VALUES, GROUP_FACES = 12, 10  # of a column to be a grouping at most, and of a group to be judged at least
SPEED_EDITS = 10
SHEET_CELL = 96


class Group(TypedDict):
    """A column of the labels: the figures of each of its values, and which value is worst by each measure."""

    rows: dict[str, dict[str, float]]
    worst: dict[str, str]


Figures = TypedDict(
    "Figures",
    {
        "faces": int,
        "cells": int,
        "supported cells": int,
        "affect": dict[str, dict[str, dict[str, Interval]]],  # of which cells, axis, measure
        "within one face": dict[str, dict[str, Interval]],
        "change of 255": Interval,
        "psnr at source": Interval,
        "ssim at source": Interval,
        "change outside": int,
        "sharpness": dict[str, Interval],
        "smoothness": Interval,
        "identity": dict[str, Interval],  # with an embedder
        "groups": dict[str, Group],  # by column
        "speed": dict[str, float],
    },
    total=False,
)


@dataclass
class Subject:
    """A face of the evaluation and what was measured of its edits to C targets.

    estimates: (C, 2). identity: (C,) cosines, or None without an embedder. change: (C,) mean absolute change of the
    crop, of 255. sharpness: (C,) ratios to the input's. outside: largest change of a pixel outside the crop and the
    rows below it. psnr, ssim: at target = source. smoothness: largest over median step between neighbours. cells:
    (C, S, S, 3).
    """

    label: Label
    estimates: np.ndarray
    identity: np.ndarray | None
    change: np.ndarray
    sharpness: np.ndarray
    outside: int
    psnr: float
    ssim: float
    smoothness: float
    cells: np.ndarray


class CopyEditor:
    """A control that gives the photo back: all fidelity, and no expression asked for."""

    def __init__(self, judge: AffectEstimator):
        self.judge = judge

    def encode(self, image: np.ndarray, face: Face) -> EncodedFace:
        matrix = alignment(face.landmarks, CROP_SIZE)
        source = self.judge.estimate(image, [face])[0].affect
        return EncodedFace(matrix, crop_face(image, matrix, CROP_SIZE), source, None)

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
            near = np.hypot(*(self.affect - target).T).argsort()[:SWAP_CANDIDATES]
            crops = (self._crop(self.labels[i].file) for i in self.rng.permutation(near))
            own = encoded.crop  # the photos swapped in are those that the subjects were chosen from
            crop = next((crop for crop in crops if crop is not None and not np.array_equal(crop, own)), None)
            yield image if crop is None else paste_crop(image, encoded.matrix, crop)

    def _crop(self, file: str) -> np.ndarray | None:
        if file not in self.crops:
            image = read_photo(self.photos / file).pixels
            faces = self.detector.detect(image)
            self.crops[file] = crop_face(image, alignment(faces[0].landmarks, CROP_SIZE), CROP_SIZE) if faces else None
        return self.crops[file]


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
    figures["speed"] = _speed(editor, photos / subjects[0].label.file, detector, targets)
    return figures, subjects


def summarise(subjects: list[Subject], targets: np.ndarray, supported: np.ndarray) -> Figures:
    """The figures of all subjects together. targets: (C, 2). supported: (C,) bool."""
    estimates = np.stack([subject.estimates for subject in subjects])  # (F, C, 2)
    every = np.arange(len(subjects))
    sharp = _stack(subjects, "sharpness")[:, supported]
    near = supported & (np.abs(targets) <= IDENTITY_EXTENT + 1e-6).all(1)
    figures: Figures = {
        "faces": len(subjects),
        "cells": len(targets),
        "supported cells": int(supported.sum()),
        "affect": {
            "all": _by_axis(_agreement, estimates, targets, np.ones_like(supported)),
            "supported": _by_axis(_agreement, estimates, targets, supported),
        },
        "within one face": _by_axis(_within, estimates, targets, supported),
        "change of 255": bootstrap(lambda i: _stack(subjects, "change")[i][:, near].mean(), every),
        "psnr at source": bootstrap(lambda i: np.median(_stack(subjects, "psnr")[i]), every),
        "ssim at source": bootstrap(lambda i: np.median(_stack(subjects, "ssim")[i]), every),
        "change outside": int(_stack(subjects, "outside").max()),
        "sharpness": {
            name: bootstrap(partial(_quantile, sharp, q), every)
            for name, q in (("median", 0.5), ("10 %", 0.1), ("90 %", 0.9))
        },
        "smoothness": bootstrap(lambda i: np.median(_stack(subjects, "smoothness")[i]), every),
    }
    if subjects[0].identity is not None:
        identity = _stack(subjects, "identity")[:, near].mean(1)
        figures["identity"] = {
            "mean": bootstrap(lambda i: identity[i].mean(), every),
            "worst tenth": bootstrap(lambda i: np.sort(identity[i])[: max(len(i) // 10, 1)].mean(), every),
        }
    figures["groups"] = _groups(subjects, estimates, targets, supported, near)
    return figures


def worst_median_best(subjects: list[Subject], targets: np.ndarray, supported: np.ndarray) -> np.ndarray:
    """A sheet of the grids of three faces, by how far their edits lie from the request; each grid beside the next."""
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
    inside = feather_mask(CROP_SIZE) > 0.5
    outside = max(_change_outside(image, edit, matrix) for edit in edited)
    cells = np.stack([cv2.resize(c, (SHEET_CELL, SHEET_CELL), interpolation=cv2.INTER_AREA) for c in crops])
    return Subject(
        label=label,
        estimates=judge.estimate_crops(crops)[0],
        identity=identity,
        change=np.abs(crops.astype(np.int16) - crop).mean(axis=(1, 2, 3)),
        sharpness=np.array([sharpness(c, inside) for c in crops]) / max(sharpness(crop, inside), 1e-6),
        outside=outside,
        psnr=psnr(crop, same),
        ssim=ssim(crop, same),
        smoothness=_smoothness(crops),
        cells=cells,
    )


def _by_axis(
    measure: Callable[[np.ndarray, np.ndarray], dict[str, Interval]],
    estimates: np.ndarray,
    targets: np.ndarray,
    cells: np.ndarray,
) -> dict[str, dict[str, Interval]]:
    """A measure of the judge's estimates (F, C, 2) and the targets (C, 2) over some cells, for each axis."""
    return {name: measure(estimates[:, cells, axis], targets[cells, axis]) for axis, name in enumerate(AXES)}


def _agreement(got: np.ndarray, wanted: np.ndarray) -> dict[str, Interval]:
    """CCC, correlation and slope of the estimates (F, C) against the targets (C,), all faces together."""

    def measured(key: str, faces: np.ndarray) -> float:
        return agreement(np.broadcast_to(wanted, (len(faces), len(wanted))).ravel(), got[faces].ravel())[key]

    return {key: bootstrap(partial(measured, key), np.arange(len(got))) for key in ("ccc", "correlation", "slope")}


def _within(got: np.ndarray, wanted: np.ndarray) -> dict[str, Interval]:
    """Of each face's own edits: the mean slope of the estimates, and their mean standard deviation."""
    slopes = np.array([agreement(wanted, row)["slope"] for row in got])
    every = np.arange(len(got))
    return {
        "slope": bootstrap(lambda i: slopes[i].mean(), every),
        "spread": bootstrap(lambda i: got[i].std(axis=1).mean(), every),
    }


def _quantile(values: np.ndarray, q: float, faces: np.ndarray) -> float:
    return float(np.quantile(values[faces], q))


def _groups(
    subjects: list[Subject], estimates: np.ndarray, targets: np.ndarray, supported: np.ndarray, near: np.ndarray
) -> dict[str, Group]:
    """Affect and identity by each grouping column, and the worst group of each."""
    columns = {name for subject in subjects for name in subject.label.extra if not name.startswith("p_")}
    found: dict[str, Group] = {}
    for column in sorted(columns):
        values = np.array([subject.label.extra.get(column, "") for subject in subjects])
        names = [name for name in np.unique(values) if (values == name).sum() >= GROUP_FACES]
        if not len(names) >= 2 or len(np.unique(values)) > GROUP_VALUES:
            continue
        rows = {}
        for name in names:
            members = values == name
            row: dict[str, float] = {"faces": int(members.sum())}
            for axis, axis_name in enumerate(AXES):
                wanted = np.broadcast_to(targets[supported, axis], (members.sum(), supported.sum()))
                got = estimates[members][:, supported, axis]
                row[f"{axis_name} ccc"] = agreement(wanted.ravel(), got.ravel())["ccc"]
            if subjects[0].identity is not None:
                row["identity"] = float(_stack(subjects, "identity")[members][:, near].mean())
            rows[str(name)] = row
        measures = [key for key in next(iter(rows.values())) if key != "faces"]
        worst = {key: min((row[key], name) for name, row in rows.items())[1] for key in measures}
        found[column] = {"rows": rows, "worst": worst}
    return found


def _speed(
    editor: FaceEditor | CopyEditor, path: Path, detector: FaceDetector, targets: np.ndarray
) -> dict[str, float]:
    """Median milliseconds: of the networks alone, beside the paper's in turns; of one edit once a face is encoded; and
    from the photo's pixels to the edited pixels.
    """
    image = read_photo(path).pixels
    face = detector.detect(image)[0]
    encoded = editor.encode(image, face)

    def edit(target: np.ndarray) -> None:
        next(editor.edits(image, encoded, target[None]))

    def whole(target: np.ndarray) -> None:
        next(editor.edits(image, editor.encode(image, detector.detect(image)[0]), target[None]))

    def networks(engine: Engine) -> Callable[[np.ndarray], None]:
        crop = crop_face(image, alignment(face.landmarks, engine.size), engine.size)
        return lambda target: engine.network(crop, encoded.source, Affect(*target.tolist()))

    ways: dict[str, Callable[[np.ndarray], None]] = {"edit ms": edit, "photo to photo ms": whole}
    if isinstance(editor, FaceEditor):
        paper = CaaeEngine(Caae(CaaeConfig()).eval().to(editor.device), editor.device)
        ways |= {"network ms": networks(editor.engine), "paper's network ms": networks(paper)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for target in targets[:SPEED_EDITS]:
        for name, way in ways.items():
            start = time.perf_counter()
            way(target)
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken) * 1e3) for name, taken in times.items()}


def _change_outside(image: np.ndarray, edit: np.ndarray, matrix: np.ndarray) -> int:
    """The largest change of a pixel that lies outside the crop and the rows below it, where jaws drop to."""
    covered = cv2.warpAffine(
        np.ones((CROP_SIZE + rows_below(CROP_SIZE), CROP_SIZE), np.uint8),
        matrix,
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


def _stack(subjects: list[Subject], name: str) -> np.ndarray:
    return np.stack([getattr(subject, name) for subject in subjects])
