"""The label formats: `labels.csv`, AffectNet's annotation CSV, and the paper's file names."""

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from faceedit.errors import UnreadableError
from faceedit.files import write_atomically

LABELS_FILE = "labels.csv"
IMAGES_FOLDER = "images"
TRAIN, VALIDATION = "train", "validation"
VALIDATION_SHARE = 0.05
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
# {id}s{expression}s{1000 · valence}s{1000 · arousal}, as the paper's code names its crops.
PAPER_NAME = re.compile(r".+?s(\d)s(-?\d+(?:\.\d+)?)s(-?\d+(?:\.\d+)?)$")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
AFFECT = ("valence", "arousal")
MAX_HEADER = 1 << 20  # characters
MAX_COLUMNS = 1000  # a row has a value for each, so that a header could ask for any amount of memory
AFFECTNET_PATH = "subDirectory_filePath"


@dataclass(frozen=True)
class Label:
    """What is known of one photo.

    file: its path below the folder, with forward slashes. expression: AffectNet's class 0-7, or None.
    split: "train", "validation" or None. extra: any other column, carried along.
    """

    file: str
    valence: float
    arousal: float
    expression: int | None = None
    split: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


def read_labels(folder: str | Path) -> list[Label]:
    """The labels of a folder, in the first of these that it has.

    `labels.csv` (file, valence, arousal, optionally expression, split and others; with commas, semicolons or tabs);
    AffectNet's CSV (any other *.csv with its columns; one whose name holds "valid" or "val" is validation); the paper's
    file names, in the folder or in its `train` and `validation`. Rows whose valence or arousal lies below -1
    (AffectNet's -2 means none) are dropped.
    Raises UnreadableError when there are none, or a row makes no sense.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UnreadableError(f"there is no folder {folder}")
    if (folder / LABELS_FILE).is_file():
        labels = _from_csv(folder / LABELS_FILE)
    else:
        labels = [label for path in sorted(folder.glob("*.csv")) if path.is_file() for label in _from_affectnet(path)]
        labels = labels or _from_names(folder)
    if not labels:
        raise UnreadableError(
            f"{folder} has no labels: no {LABELS_FILE}, no AffectNet annotations, and no photos with the paper's names"
        )
    return labels


def photos_folder(folder: Path, labels: list[Label]) -> Path:
    """Where the labels' files lie: in the folder itself, or in its `images`."""
    inner = folder / IMAGES_FOLDER
    return inner if inner.is_dir() and not (folder / labels[0].file).exists() else folder


def write_labels(folder: Path, labels: list[Label]) -> None:
    """Write `labels.csv` into the folder."""
    extras = list(dict.fromkeys(name for label in labels for name in label.extra))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "valence", "arousal", "expression", *extras])
    for label in labels:
        expression = "" if label.expression is None else label.expression
        values = [label.file, f"{label.valence:.4f}", f"{label.arousal:.4f}", expression]
        writer.writerow(values + [label.extra.get(name, "") for name in extras])
    write_atomically(folder / LABELS_FILE, text.getvalue().encode())


def _from_csv(path: Path) -> list[Label]:
    labels = []
    for where, row in _rows(path, ("file", "valence", "arousal")):
        split = row.pop("split", None) or None
        if split not in (None, TRAIN, VALIDATION):
            raise UnreadableError(f"{where}: split must be {TRAIN} or {VALIDATION}, not {split}")
        file = _inside(row.pop("file"), where)
        affect = _affect(row.pop("valence"), row.pop("arousal"), where)
        expression = row.pop("expression", "")
        if affect is not None:
            labels.append(Label(file, *affect, _expression(expression, where), split, row))
    return labels


def _from_affectnet(path: Path) -> list[Label]:
    with open(path, encoding=_encoding(path), errors="replace") as lines:
        if AFFECTNET_PATH.casefold() not in lines.readline(MAX_HEADER).casefold():
            return []
    split = VALIDATION if "val" in path.stem.lower() else TRAIN
    labels = []
    for where, row in _rows(path, (AFFECTNET_PATH, "expression", "valence", "arousal")):
        affect = _affect(row["valence"], row["arousal"], where)
        if affect is not None:
            file = _inside(row[AFFECTNET_PATH], where)
            labels.append(Label(file, *affect, _expression(row["expression"], where), split))
    return labels


def _from_names(folder: Path) -> list[Label]:
    labels = []
    for path in sorted(folder.rglob("*")):
        match = PAPER_NAME.fullmatch(path.stem)
        if match is None or path.suffix.lower() not in SUFFIXES:
            continue
        affect = _affect(float(match[2]) / 1000, float(match[3]) / 1000, str(path))
        if affect is not None:
            file = path.relative_to(folder)
            split = file.parts[0] if file.parts[0] in (TRAIN, VALIDATION) else None
            labels.append(Label(file.as_posix(), *affect, _expression(match[1], str(path)), split))
    return labels


def _rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (where it stands, row) of a table with commas, semicolons or tabs; a row has every required column.

    A column that is known by its name may be written in other capitals. In a table with semicolons a number may have a
    decimal comma, as spreadsheets write both.
    """
    try:
        with open(path, encoding=_encoding(path), newline="") as file:
            head = file.readline(MAX_HEADER)
            separator = max(SEPARATORS, key=head.count)
            file.seek(0)
            reader = csv.DictReader(file, restkey="", restval="", delimiter=separator, skipinitialspace=True)
            columns = reader.fieldnames or ()
            if len(columns) > MAX_COLUMNS:
                raise UnreadableError(f"{path} has {len(columns)} columns, more than the {MAX_COLUMNS} that are read")
            reader.fieldnames = [_column(name, required) for name in columns]
            missing = [name for name in required if name not in reader.fieldnames]
            if missing:
                raise UnreadableError(
                    f"{path} (separated by {SEPARATORS[separator]}), line 1 has no column {', '.join(missing)}, but "
                    f"{', '.join(repr(name) for name in columns[:9]) or 'none'}"
                )
            for row in reader:
                row.pop("", None)
                if not any(row.values()):
                    continue  # an empty line
                cells = {name: value.strip() for name, value in row.items()}
                if separator == ";":
                    cells |= {name: cells[name].replace(",", ".") for name in AFFECT}
                yield f"{path} (separated by {SEPARATORS[separator]}), line {reader.line_num}", cells
    except (OSError, UnicodeError, csv.Error) as error:
        raise UnreadableError(f"cannot read {path}: {error}") from error


def _encoding(path: Path) -> str:
    """UTF-16 where the file begins as spreadsheets begin such a one, else UTF-8."""
    with open(path, "rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _column(name: str, required: tuple[str, ...]) -> str:
    """The name of a column as it is known here, or as the table has it."""
    name = name.strip().strip("\"'").strip()
    known = {known.casefold(): known for known in (*required, "expression", "split")}
    return known.get(name.casefold(), name)


def _affect(valence: str | float, arousal: str | float, where: str) -> tuple[float, float] | None:
    """Both values, or None where one is AffectNet's sentinel."""
    values = []
    for name, text in (("valence", valence), ("arousal", arousal)):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not value <= 1:  # also true of a value that is not a number
            raise UnreadableError(f"{where}: {name} must be a number between -1 and 1, not {text or 'nothing'}")
        values.append(value)
    return None if min(values) < -1 else (values[0], values[1])


def _expression(text: str, where: str) -> int | None:
    """AffectNet's eight classes, also as 1.0; its further ones (none, uncertain, non-face) carry no expression."""
    if not text or text.lower() == "nan":
        return None
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise UnreadableError(f"{where}: expression must be a number from 0 to 7, not {text}")
    return int(number) if 0 <= number <= 7 else None


def _inside(file: str, where: str) -> str:
    """Refuse a path that is none, or would climb out of its folder."""
    path = PurePosixPath(file.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in file:
        raise UnreadableError(f"{where}: {file or 'an empty name'} is not a path below the folder")
    return path.as_posix()
