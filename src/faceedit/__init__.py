"""Change the expression of a face in a photo to a chosen valence and arousal."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceedit.circumplex import Affect
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import Animation, EditedFace, EditResult
    from faceedit.editing.target import Request
    from faceedit.editing.video import EditedVideo
    from faceedit.faces.estimate import FaceEstimate

__version__ = "0.1.0"
__all__ = ["Affect", "Animation", "EditResult", "EditedFace", "EditedVideo", "FaceEditor", "FaceEstimate", "Request"]

MODULES = {
    "Affect": "circumplex",
    "Animation": "editing.photo",
    "EditResult": "editing.photo",
    "EditedFace": "editing.photo",
    "EditedVideo": "editing.video",
    "FaceEditor": "editing.editor",
    "FaceEstimate": "faces.estimate",
    "Request": "editing.target",
}


def __getattr__(name: str) -> object:
    # torch takes a second or more to import: `faceedit --help` does without it.
    if name in MODULES:
        return getattr(import_module(f"faceedit.{MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
