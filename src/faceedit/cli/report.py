"""What commands print of the photos that they edit: lines for a person, JSON objects for programs."""

import json
from typing import TYPE_CHECKING, NamedTuple, TextIO

from faceedit.cli.app import say, say_error
from faceedit.errors import FaceEditError

if TYPE_CHECKING:
    from faceedit.batch import Job
    from faceedit.editing.photo import EditedFace


class Facts(NamedTuple):
    """What was done with a photo: its faces, and what a person should hear of it."""

    faces: "tuple[EditedFace, ...]"
    notes: tuple[str, ...]


def tell(job: "Job", outcome: "Facts | FaceEditError | None", as_json: bool, results: TextIO | None = None) -> None:
    """Print what became of a photo: its output or a JSON object to results (stdout), the rest for a person.

    outcome: None where it was skipped, as its output is there.
    """
    shown: dict[str, object]
    if outcome is None:
        shown = {"skipped": "its output is there"}
        say(f"{job.photo}: {shown['skipped']}")
    elif isinstance(outcome, FaceEditError):
        shown = {"error": str(outcome)}
        say_error(outcome)
    else:
        shown = {"faces": [face_json(face) for face in outcome.faces]}
        for line in (*outcome.notes, *outcome.faces):
            say(str(line))
    if as_json:
        print(json.dumps({"input": str(job.photo), "output": str(job.output), **shown}), file=results)
    elif "faces" in shown:
        print(job.output, file=results)


def face_json(face: "EditedFace") -> dict[str, object]:
    """What was done with one face, for programs."""
    shown: dict[str, object] = {"number": face.number, "box": [round(value, 1) for value in face.box]}
    affects = {"source": face.source, "target": face.target}
    if face.beyond_support:
        affects["nearest_supported"] = face.nearest_supported
    for name, affect in affects.items():
        if affect is not None:
            shown[name] = {axis: round(value, 4) for axis, value in vars(affect).items()}
    return shown
