"""The label formats: `labels.csv`, AffectNet's annotation CSV, and the paper's file names."""

import math
import os
import re
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from faceedit.errors import UnreadableError, missing
from faceedit.tables import MAX_HEADER, path_below, read_table, table_encoding, write_table

LABELS_FILE = "labels.csv"
IMAGES_FOLDER = "images"
TRAIN, VALIDATION = "train", "validation"
VALIDATION_SHARE = 0.05
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
# {id}s{expression}s{1000 · valence}s{1000 · arousal}, as the paper's code names its crops.
PAPER_NAME = re.compile(r".+?s(\d)s(-?\d+(?:\.\d+)?)s(-?\d+(?:\.\d+)?)$")
AFFECT = ("valence", "arousal")
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
        raise missing(folder, "folder")
    if (folder / LABELS_FILE).is_file():
        labels = _from_csv(folder / LABELS_FILE)
    else:
        labels = [label for path in sorted(folder.glob("*.csv")) if path.is_file() for label in _from_affectnet(path)]
        labels = labels or _from_names(folder)
    if not labels and (folder / LABELS_FILE).is_file():
        raise UnreadableError(f"{folder / LABELS_FILE} has no row with a valence and an arousal")
    if not labels:
        raise UnreadableError(
            f"{folder} has no labels: no {LABELS_FILE}, no AffectNet annotations, and no photos with the paper's names"
        )
    return labels


def with_split(label: Label) -> Label:
    """The label with its split settled: without one, 5 % of the photos, by a hash of their names, are validation."""
    if label.split is not None:
        return label
    share = int.from_bytes(sha256(label.file.encode(errors="surrogateescape")).digest()[:4], "big") / 2**32
    return replace(label, split=VALIDATION if share < VALIDATION_SHARE else TRAIN)


def photos_folder(folder: Path, labels: list[Label]) -> Path:
    """Where the labels' files lie: in the folder itself, or in its `images`."""
    inner = folder / IMAGES_FOLDER
    return inner if inner.is_dir() and not os.path.exists(folder / labels[0].file) else folder


def write_labels(folder: Path, labels: list[Label]) -> None:
    """Write `labels.csv` into the folder."""
    extras = list(dict.fromkeys(name for label in labels for name in label.extra))
    rows = []
    for label in labels:
        expression = "" if label.expression is None else label.expression
        values = [label.file, f"{label.valence:.4f}", f"{label.arousal:.4f}", expression]
        rows.append(values + [label.extra.get(name, "") for name in extras])
    write_table(folder / LABELS_FILE, ["file", *AFFECT, "expression", *extras], rows)


def _from_csv(path: Path) -> list[Label]:
    labels = []
    for where, row in read_table(path, ("file", *AFFECT), ("expression", "split"), AFFECT):
        split = row.pop("split", "").lower() or None
        if split not in (None, TRAIN, VALIDATION):
            raise UnreadableError(f"{where}: split must be {TRAIN} or {VALIDATION}, not {split}")
        file = path_below(row.pop("file"), where)
        affect = _affect(row.pop("valence"), row.pop("arousal"), where)
        expression = row.pop("expression", "")
        if affect is not None:
            labels.append(Label(file, *affect, _expression(expression, where), split, row))
    return labels


def _from_affectnet(path: Path) -> list[Label]:
    with open(path, encoding=table_encoding(path), errors="replace") as lines:
        head = lines.readline(MAX_HEADER) + lines.readline(MAX_HEADER)  # the first may name the separator
        if AFFECTNET_PATH.casefold() not in head.casefold():
            return []
    split = VALIDATION if "val" in path.stem.lower() else TRAIN
    labels = []
    for where, row in read_table(path, (AFFECTNET_PATH, "expression", *AFFECT), ("split",), AFFECT):
        affect = _affect(row["valence"], row["arousal"], where)
        if affect is not None:
            file = path_below(row[AFFECTNET_PATH], where)
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


def _affect(valence: str | float, arousal: str | float, where: str) -> tuple[float, float] | None:
    """Both values, or None where one is AffectNet's sentinel."""
    values = []
    for name, text in (("valence", valence), ("arousal", arousal)):
        try:
            value = math.nan if "_" in str(text) else float(text)  # to Python, 0_1 is 1
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
