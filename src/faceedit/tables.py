"""Tables as text: CSV with commas, semicolons or tabs, as spreadsheets write them."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from faceedit.errors import UnreadableError, missing
from faceedit.files import write_atomically

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
MAX_HEADER = 1 << 20  # characters
MAX_COLUMNS = 1000


def read_table(
    path: Path, required: tuple[str, ...], optional: tuple[str, ...] = (), numbers: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (where it stands, row) of a table with commas, semicolons or tabs; a row has every required column.

    A column that is known by its name may be written in other capitals. In a table with semicolons or tabs a number may
    have a decimal comma, as spreadsheets write both. Raises UnreadableError.
    """
    try:
        with open(path, encoding=table_encoding(path), newline="") as file:
            head, start, first = file.readline(MAX_HEADER), 0, 1
            if head.strip('"\r\n') in (f"sep={separator}" for separator in SEPARATORS):  # a word to spreadsheets
                start, head, first = file.tell(), file.readline(MAX_HEADER), 2
            unquoted = "".join(head.split('"')[::2])
            separator = max(SEPARATORS, key=unquoted.count)
            file.seek(start)
            reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
            columns = next(reader, [])
            if len(columns) > MAX_COLUMNS:
                raise UnreadableError(f"{path} has {len(columns)} columns, more than the {MAX_COLUMNS} that are read")
            names = [_column(name, (*required, *optional)) for name in columns]
            twice = [name for name in (*required, *optional) if names.count(name) > 1]
            if twice:
                raise UnreadableError(f"{path}, line {first} has more than one column {', '.join(map(repr, twice))}")
            lacking = [name for name in required if name not in names]
            if lacking:
                raise UnreadableError(
                    f"{path} (separated by {SEPARATORS[separator]}), line {first} has no column {', '.join(lacking)}, "
                    f"but {', '.join(repr(name) for name in columns[:9]) or 'none'}"
                )
            known = dict.fromkeys((name for name in (*required, *optional) if name in names), "")
            for row in reader:
                # A row may be shorter: nothing is kept for columns that are not known and that it does not have.
                cells = known | {name: value.strip() for name, value in zip(names, row, strict=False) if name}
                if not any(cells.values()):
                    continue  # an empty line
                if separator != ",":
                    cells |= {name: cells[name].replace(",", ".") for name in numbers if name in cells}
                yield f"{path} (separated by {SEPARATORS[separator]}), line {first - 1 + reader.line_num}", cells
    except FileNotFoundError as error:
        raise missing(path) from error
    except UnicodeError as error:
        raise UnreadableError(f"cannot read {path}: it is not text in UTF-8, as a table is") from error
    except (OSError, csv.Error) as error:
        raise UnreadableError(f"cannot read {path}: {error}") from error


def table_encoding(path: Path) -> str:
    """UTF-16 where the file begins as spreadsheets begin such a one, else UTF-8."""
    if path.exists() and not path.is_file():
        raise UnreadableError(f"{path} is no file")  # a pipe would make us wait for ever
    with open(path, "rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]], overwrite: bool = True) -> None:
    """Write a CSV with commas, whole or not at all, names of files as the system has them. Raises UnwritableError, and
    ExistsError where it may not overwrite a file.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    write_atomically(path, text.getvalue().encode(errors="surrogateescape"), overwrite=overwrite)


def path_below(file: str, where: str) -> str:
    """A path in a table, with forward slashes. Raises UnreadableError for one that climbs out of its folder."""
    path = PurePosixPath(file.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in file:
        raise UnreadableError(f"{where}: {file or 'an empty name'} is not a path below the folder")
    return path.as_posix()


def _column(name: str, known: tuple[str, ...]) -> str:
    """The name of a column as it is known here, or as the table has it."""
    name = name.strip().strip("\"'").strip()
    return {other.casefold(): other for other in known}.get(name.casefold(), name)
