"""Change the expression of a face in a photo to a chosen valence and arousal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor

__version__ = "0.1.0"
__all__ = ["FaceEditor"]


def __getattr__(name: str) -> object:
    # torch takes a second or more to import: `faceedit --help` does without it.
    if name == "FaceEditor":
        from faceedit.editing.editor import FaceEditor

        return FaceEditor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
