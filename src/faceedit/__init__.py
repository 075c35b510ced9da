"""Change the expression of a face in a photo to a chosen valence and arousal."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditedFace, EditResult
    from faceedit.editing.request import Request
    from faceedit.editing.video import EditedVideo

__version__ = "0.1.0"
__all__ = ["EditResult", "EditedFace", "EditedVideo", "FaceEditor", "Request"]

PLACES = {  # modules of `editing`
    "FaceEditor": "editor",
    "EditResult": "photo",
    "EditedFace": "photo",
    "EditedVideo": "video",
    "Request": "request",
}


def __getattr__(name: str) -> object:
    # torch takes a second or more to import: `faceedit --help` does without it.
    if name in PLACES:
        return getattr(import_module(f"faceedit.editing.{PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
