"""A face in equal steps from one affect to another, as for morph continua."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceedit.circumplex import Affect, Target
from faceedit.editing.parts import check_parts
from faceedit.editing.photo import EditResult, choose_face, edit_chosen
from faceedit.errors import ExistsError, UsageError
from faceedit.files import make_folder, remove_leftovers
from faceedit.media.image import WRITE_FORMATS, Photo, write_photo
from faceedit.tables import write_table

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor

MAX_STEPS = 1000
TABLE = "series.csv"


def series(
    editor: "FaceEditor",
    photo: Photo,
    start: Affect,
    end: Affect,
    steps: int,
    face: str | int = "largest",
    only: tuple[str, ...] = (),
    measure: bool = False,
) -> Iterator[EditResult]:
    """The photo with one face at each of `steps` affects, 2 to 1000, in equal distances from start to end.

    Ends beyond the support of the training labels are moved to the nearest supported first, so that steps stay equal.
    only: parts to edit, see `parts.PARTS`. measure: let the judge say what affect each reached. Raises UsageError,
    NoFaceError.
    """
    check_parts(only)
    if not 2 <= steps <= MAX_STEPS:
        raise UsageError(f"a series has 2 to {MAX_STEPS} steps, not {steps}")
    chosen = choose_face(editor, photo.pixels, face)
    chosen = replace(chosen, encoded=replace(chosen.encoded, parts=only))
    first, last = (editor.support.nearest(affect).row for affect in (start, end))
    for target in np.linspace(first, last, steps):
        result = edit_chosen(editor, photo, [(chosen, Target.of_row(target))])
        if measure:
            (seen,) = editor.judge.estimate(result.image, [chosen.face])
            (edited,) = result.faces
            result = replace(result, faces=(replace(edited, reached=seen.affect),))
        yield result


def write_series(
    results: Iterator[EditResult], steps: int, folder: Path, name: str, overwrite: bool = False
) -> Iterator[EditResult]:
    """Write a series into a folder as numbered files, each whole or not at all, and `series.csv`, which says where each
    lies; yields each result when its file is written.

    name: the photo's, whose ending the files take. Raises ExistsError, UnwritableError.
    """
    make_folder(folder)
    remove_leftovers([folder])
    if (folder / TABLE).exists() and not overwrite:
        raise ExistsError(folder / TABLE)
    suffix = Path(name).suffix.lower() if Path(name).suffix.lower() in WRITE_FORMATS else ".png"
    rows = []
    for index, result in enumerate(results):
        file = f"{Path(name).stem}-{index:0{len(str(steps - 1))}}{suffix}"
        write_photo(folder / file, result.photo, overwrite)
        (face,) = result.faces
        affects = [affect.pair if affect else () for affect in (face.target, face.reached)]
        rows.append((file, *(f"{value:.6g}" for pair in affects for value in pair)))
        yield result
    write_table(folder / TABLE, ("file", "valence", "arousal", "reached_valence", "reached_arousal"), rows, overwrite)
