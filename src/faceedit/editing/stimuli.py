"""A set of stimuli from one table: each row edits one face of one photo, and a second table says what it became."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.editing.photo import EditResult, edit_photo
from faceedit.editing.selection import ALL, LARGEST, is_largest
from faceedit.editing.target import Request
from faceedit.errors import ExistsError, FaceEditError, UnreadableError, UsageError, failure
from faceedit.files import make_folder, remove_leftovers
from faceedit.media.image import WRITE_FORMATS, Photo, format_of, read_photo, write_photo
from faceedit.media.provenance import from_xmp
from faceedit.pool import in_turn
from faceedit.tables import path_below, read_table, write_table

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.faces.identity import FaceEmbedder

RESULTS_FILE = "results.csv"
NUMBERS = ("valence", "arousal", "intensity", "strength")
COLUMNS = (*NUMBERS, "emotion", "face", "only", "output")
# What results.csv adds to the columns of the table.
ADDED = (
    *("result", "error", "x0", "y0", "x1", "y1", "source_valence", "source_arousal", "asked_valence", "asked_arousal"),
    *("used_valence", "used_arousal", "reached_valence", "reached_arousal", "identity", "weights", "sha256"),
)
AXES = ("valence", "arousal")
SAVE_SECONDS = 10.0  # between two states of results.csv


@dataclass(frozen=True)
class Stimulus:
    """One row: a photo, what is asked of a face in it, and where the result goes, below the output folder.

    cells: the row as the table has it, with columns that mean nothing here.
    """

    photo: Path
    face: str
    request: Request
    output: str
    cells: dict[str, str]


def read_stimuli(path: Path) -> list[Stimulus]:
    """The rows of a table with the column `file` and any of COLUMNS; files lie beside the table.

    only: parts with spaces between. output: a name below the output folder; by default the photo's with the row's
    number. Raises UnreadableError or UsageError for a table or row that makes no sense, and says in which line.
    """
    stimuli: list[Stimulus] = []
    taken: dict[str, str] = {}
    for where, cells in read_table(path, ("file",), COLUMNS, NUMBERS):
        try:
            stimulus = _stimulus(path.parent, cells, len(stimuli) + 1)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if stimulus.output in taken:
            raise UsageError(f"{where}: {stimulus.output} is also the output of {taken[stimulus.output]}")
        taken[stimulus.output] = where
        stimuli.append(stimulus)
    if not stimuli:
        raise UnreadableError(f"{path} has no rows")
    return stimuli


def _stimulus(folder: Path, cells: dict[str, str], number: int) -> Stimulus:
    if "\0" in cells["file"]:
        raise UsageError("file holds a zero byte, which no name does")
    file = Path(cells["file"])
    values = {name: _number(name, cells[name]) for name in NUMBERS if cells.get(name)}
    request = Request(
        values.get("valence"),
        values.get("arousal"),
        cells.get("emotion") or None,
        values.get("intensity"),
        strength=values.get("strength", 1.0),
        only=tuple(cells.get("only", "").split()),
    )
    face = cells.get("face") or LARGEST
    is_largest(face)
    if face == ALL:
        raise UsageError("a row edits one face: name it by its number")
    suffix = file.suffix.lower() if file.suffix.lower() in WRITE_FORMATS else ".png"
    output = path_below(cells.get("output") or f"{file.stem}-{number:04}{suffix}", "output")
    if Path(output).parts[0] == RESULTS_FILE:
        raise UsageError(f"{RESULTS_FILE} is the table of results, not a folder for outputs")
    format_of(output)
    return Stimulus(folder / file, face, request, output, cells)


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace("_", "?"))  # to Python, 0_1 is 1
    except ValueError:
        raise UsageError(f"{name} must be a number, not {text}") from None


def make_stimuli(
    editor: "FaceEditor",
    stimuli: list[Stimulus],
    folder: Path,
    embedder: "FaceEmbedder | None" = None,
    overwrite: bool = False,
) -> Iterator[tuple[Stimulus, EditResult | FaceEditError | None]]:
    """Edit each row's face into the folder, and keep `results.csv` there: what each row became.

    Yields each row with its result, the error that it ended with, or None where an earlier run, with the same row and
    weights, made it. embedder: also measures identity, the cosine of the face before and after. overwrite: also replace
    files that no run made. Raises UnwritableError, and UsageError for an output that is a photo of the table.
    """
    photos = {os.path.realpath(stimulus.photo) for stimulus in stimuli}
    for stimulus in stimuli:
        if os.path.realpath(folder / stimulus.output) in photos:
            raise UsageError(f"{folder / stimulus.output} is a photo of the table: choose another output or folder")
    make_folder(folder)
    remove_leftovers({(folder / stimulus.output).parent for stimulus in stimuli})
    known = {
        output: row
        for output, row in _earlier(folder).items()
        if not row["error"] and row["sha256"] == editor.weights.sha256 and (folder / output).is_file()
    }
    extra = list(dict.fromkeys(name for stimulus in stimuli for name in stimulus.cells))
    rows: dict[str, dict[str, str]] = {}

    def save() -> None:
        """What became of other rows stays, behind these: of other tables, and of those that another run makes."""
        kept = _earlier(folder) | rows
        others = [name for row in kept.values() for name in row if name not in ADDED]
        columns = [*dict.fromkeys([*extra, *others]), *(name for name in ADDED if name not in extra)]
        order = dict.fromkeys([*(stimulus.output for stimulus in stimuli if stimulus.output in kept), *kept])
        write_table(folder / RESULTS_FILE, columns, [[kept[key].get(name, "") for name in columns] for key in order])

    def edited(stimulus: Stimulus) -> tuple[EditResult, dict[str, str]] | None:
        if stimulus.output in known and stimulus.cells.items() <= known[stimulus.output].items():
            return None
        return _edited(editor, stimulus, folder, embedder, overwrite)

    saved = time.monotonic()
    try:
        for stimulus, done in in_turn(edited, stimuli):
            outcome: EditResult | FaceEditError | None
            try:
                found = done.result()
                outcome, facts = found or (None, known[stimulus.output])
            except Exception as error:  # whatever a library raises for one photo must not end the others
                outcome = failure(f"{stimulus.photo} could not be edited", error)
                facts = {"error": str(outcome)}
            del done
            rows[stimulus.output] = {**stimulus.cells, **facts, "result": stimulus.output}
            yield stimulus, outcome
            if time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    finally:
        save()


def _earlier(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of the results that are there, by their outputs."""
    if not (folder / RESULTS_FILE).is_file():
        return {}
    return {row["result"]: row for _, row in read_table(folder / RESULTS_FILE, ("result", "error", "sha256"))}


def _edited(
    editor: "FaceEditor", stimulus: Stimulus, folder: Path, embedder: "FaceEmbedder | None", overwrite: bool
) -> tuple[EditResult, dict[str, str]]:
    photo = read_photo(stimulus.photo)
    result = edit_photo(editor, photo, [(stimulus.face, stimulus.request)])
    output = folder / stimulus.output
    make_folder(output.parent)
    _write(output, result.photo, overwrite)
    (face,) = result.faces
    facts = dict(zip(("x0", "y0", "x1", "y1"), (f"{value:.1f}" for value in face.box), strict=True))
    affects = {"source": face.source, "asked": face.target, "used": face.nearest_supported, "reached": face.reached}
    for name, affect in affects.items():
        if affect is not None:
            facts |= {f"{name}_{axis}": f"{value:.4f}" for axis, value in zip(AXES, affect.pair, strict=True)}
    if embedder is not None:
        found = editor.detect(photo.pixels, face.number == 1)[face.number - 1]
        before, after = embedder.embed([photo.pixels, result.image], found)
        facts["identity"] = f"{float(before @ after):.4f}"
    return result, facts | {"weights": editor.weights.path.stem, "sha256": editor.weights.sha256}


def _write(output: Path, photo: Photo, overwrite: bool) -> None:
    """Write a result. Raises ExistsError for a file that does not say that it was edited, unless overwrite."""
    try:
        write_photo(output, photo, overwrite)
    except ExistsError as error:
        try:
            made_earlier = from_xmp(read_photo(output).xmp) is not None  # by a run that was killed, or another row
        except FaceEditError:
            raise error from None
        if not made_earlier:
            raise
        write_photo(output, photo)
