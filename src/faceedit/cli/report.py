"""What commands print of the photos that they edit: lines for a person, JSON objects for programs."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from faceedit.cli.app import console, printable, say, say_error
from faceedit.errors import FaceEditError

if TYPE_CHECKING:
    from faceedit.batch import Job
    from faceedit.editing.photo import EditedFace, EditResult


IS_THERE = "its output is there"


class Facts(NamedTuple):
    """What was done with a photo: its faces, and what a person should hear of it."""

    faces: "tuple[EditedFace, ...]"
    notes: tuple[str, ...]


def tell_skipped(jobs: "list[Job]", as_json: bool = False) -> None:
    """Print how many photos are skipped, as their outputs are there; in JSON, each."""
    skipped = [job for job in jobs if job.done]
    if skipped:
        say(f"skipped, as {'its output is' if len(skipped) == 1 else 'their outputs are'} there: {len(skipped)}")
    if as_json:
        for job in skipped:
            _print_json(job, {"skipped": IS_THERE}, None)


def tell(job: "Job", outcome: "Facts | FaceEditError | None", as_json: bool, results: TextIO | None = None) -> None:
    """Print what became of a photo: its output or a JSON object to results (stdout), the rest for a person.

    outcome: None where it was skipped, as its output is there.
    """
    shown: dict[str, object]
    if outcome is None:
        shown = {"skipped": IS_THERE}
        say(f"{job.photo}: {IS_THERE}")
    else:
        shown = tell_outcome(job.photo, outcome)
    if as_json:
        _print_json(job, shown, results)
    elif "faces" in shown:
        print_result(str(job.output), results)


def tell_outcome(photo: Path, outcome: "Facts | EditResult | FaceEditError") -> dict[str, object]:
    """Print for a person what became of a photo, and return it for a JSON object: its faces, or its error."""
    if isinstance(outcome, FaceEditError):
        say_error(outcome, photo)
        return {"error": str(outcome)}
    for line in (*outcome.notes, *outcome.faces):
        say(str(line))
    return {"faces": [face_json(face) for face in outcome.faces]}


def _print_json(job: "Job", shown: dict[str, object], results: TextIO | None) -> None:
    print_result(json.dumps({"input": str(job.photo), "output": str(job.output), **shown}), results)


def print_result(line: str, results: TextIO | None = None) -> None:
    """A line for standard output. On a terminal, which both streams share, it goes above the progress bar."""
    results = results or sys.stdout
    if console.is_terminal and results is not None and results.isatty():
        console.print(line, markup=False, soft_wrap=True)
    else:
        print(line, file=results)


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table: drawn to fit a terminal, and elsewhere with a tab between cells, for other programs."""
    if not (sys.stdout and sys.stdout.isatty()):
        print("\n".join("\t".join(map(printable, row)) for row in (columns, *rows)))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    Console().print(table)


def face_json(face: "EditedFace") -> dict[str, object]:
    """What was done with one face, for programs."""
    shown: dict[str, object] = {"number": face.number, "box": [round(value, 1) for value in face.box]}
    affects = {"source": face.source, "target": face.target}
    if face.beyond_support:
        affects["nearest_supported"] = face.nearest_supported
    affects["reached"] = face.reached
    for name, affect in affects.items():
        if affect is not None:
            shown[name] = {"valence": round(affect.valence, 4), "arousal": round(affect.arousal, 4)}
    if face.only:
        shown["only"] = list(face.only)
    return shown
