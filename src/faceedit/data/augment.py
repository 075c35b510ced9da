"""Growing a labelled set with edits, so that it covers the valence-arousal plane evenly."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceedit.circumplex import Affect
from faceedit.data.labels import (
    IMAGES_FOLDER,
    LABELS_FILE,
    VALIDATION,
    Label,
    photos_folder,
    read_labels,
    with_split,
    write_labels,
)
from faceedit.errors import FaceEditError, UsageError, failure, no_upright_face
from faceedit.files import make_folder, remove_leftovers, write_atomically
from faceedit.media.image import WRITE_FORMATS, read_photo, write_photo
from faceedit.media.provenance import COMPOSITE, declared
from faceedit.pool import in_turn

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor

CELL = 0.25  # side of the cells of the plane that are filled evenly, as of those that training balances
MAX_PER_FACE = 100
SAVE_SECONDS = 10.0
ORIGIN = "edited_from"  # a column: the file that an edit was made of, empty for the others


def augment(
    editor: "FaceEditor", source: Path, out: Path, per_face: int, seed: int = 0
) -> Iterator[tuple[int, int, FaceEditError | None]]:
    """Write a labelled set's photos and `per_face` edits of each that is for training into a folder, with labels.csv.

    Targets are chosen by the seed among the cells of the plane that the editor's labels support, the emptiest first.
    An edit's label is the affect that the judge sees in it; it has no expression. Yields, as each photo is done, how
    many are, of how many, and the error that ended this one; what an earlier run made is kept. Raises UsageError,
    UnreadableError, UnwritableError.
    """
    if not 1 <= per_face <= MAX_PER_FACE:
        raise UsageError(f"edits of a face must be 1 to {MAX_PER_FACE}, not {per_face}")
    _refuse_others(source, out)
    labels = [with_split(label) for label in read_labels(source)]
    photos, images = photos_folder(source, labels), out / IMAGES_FOLDER
    make_folder(images)
    remove_leftovers([out, *{(images / label.file).parent for label in labels}])
    known = {label.file: label for label in read_labels(out)} if (out / LABELS_FILE).is_file() else {}
    targets = even_targets(editor, labels, per_face, seed)

    def grown(number: int) -> list[Label]:
        return _grown(editor, photos, images, labels[number], targets.get(number, []), known)

    made: dict[str, Label] = {}

    def save(rows: dict[str, Label]) -> None:
        labelled = [replace(label, extra={"split": label.split or "", **label.extra}) for label in rows.values()]
        if labelled:  # a table without a row could not be read again
            write_labels(out, labelled)

    saved = time.monotonic()
    try:
        for number, done in in_turn(grown, range(len(labels))):
            error: FaceEditError | None = None
            try:
                made |= {label.file: label for label in done.result()}
            except Exception as problem:  # whatever a library raises for one photo must not end the others
                error = failure(f"{photos / labels[number].file} could not be edited", problem)
            del done
            yield number + 1, len(labels), error
            if time.monotonic() - saved > SAVE_SECONDS:
                save(known | made)
                saved = time.monotonic()
    except BaseException:  # ended early: what was done before stays known
        save(known | made)
        raise
    save(made)


def _refuse_others(source: Path, out: Path) -> None:
    """Raise before labels are replaced that no run made."""
    if os.path.realpath(source) == os.path.realpath(out):
        raise UsageError(f"{out} holds the photos to grow: name another folder for the grown set")
    labels = out / LABELS_FILE
    if labels.is_file() and any(ORIGIN not in label.extra for label in read_labels(out)):
        raise UsageError(f"{labels} is of a set that augment did not grow: name another folder")


def even_targets(editor: "FaceEditor", labels: list[Label], per_face: int, seed: int) -> dict[int, list[Affect]]:
    """For each training photo, by its number among the labels, where its edits go."""
    axis = np.arange(-1, 1 + CELL / 2, CELL)
    cells = [(v, a) for v in axis.tolist() for a in axis.tolist() if editor.support.covers(v, a)]
    dice = np.random.default_rng(seed)
    counts = Counter(dict.fromkeys(cells, 0))
    counts.update((round(label.valence / CELL) * CELL, round(label.arousal / CELL) * CELL) for label in labels)
    targets: dict[int, list[Affect]] = {}
    for number in dice.permutation(len(labels)).tolist():
        if labels[number].split == VALIDATION:
            continue
        order = dice.permutation(len(cells)).tolist()
        emptiest = sorted(order, key=lambda index: counts[cells[index]])
        places = [cells[emptiest[index % len(cells)]] for index in range(per_face)]
        counts.update(places)
        moved = np.array(places) + dice.uniform(-CELL / 2, CELL / 2, (per_face, 2))
        targets[number] = [editor.support.nearest(Affect(*point)) for point in moved.clip(-1, 1).tolist()]
    return targets


def _grown(
    editor: "FaceEditor", photos: Path, images: Path, label: Label, targets: list[Affect], known: dict[str, Label]
) -> list[Label]:
    """Labels of a photo and its edits, all of them written."""
    place = Path(label.file)
    make_folder((images / place).parent)
    labels = [replace(label, extra={**label.extra, ORIGIN: ""})]
    if not (images / place).is_file():
        write_atomically(images / place, (photos / place).read_bytes())
    suffix = place.suffix if place.suffix.lower() in WRITE_FORMATS else ".png"
    files = [place.with_name(f"{place.stem}-to{number}{suffix}").as_posix() for number in range(1, len(targets) + 1)]
    missing = [file for file in files if file not in known or not (images / file).is_file()]
    labels += [known[file] for file in files if file not in missing]
    if not missing:
        return labels
    photo = read_photo(photos / place)
    faces = editor.detect(photo.pixels, largest=True)
    if not faces:
        raise no_upright_face(str(photos / place))
    encoded = editor.encode(photo.pixels, faces[0])
    for file in missing:
        target = targets[files.index(file)]
        edited = photo.with_pixels(editor.edit_face(photo.pixels, encoded, target))
        (seen,) = editor.judge.estimate(edited.pixels, faces)
        write_photo(images / file, declared(edited, COMPOSITE, editor.weights, f"{encoded.source} → {target}"))
        # Probabilities of expressions and the like say nothing of the edit.
        extra = {name: "" if name.startswith("p_") else value for name, value in label.extra.items()}
        labels.append(Label(file, *seen.affect.pair, None, label.split, {**extra, ORIGIN: label.file}))
    return labels
