"""Change the expression of a face in a photo to a chosen valence and arousal."""

__version__ = "0.1.0"
__all__ = ["FaceEditor"]


def __getattr__(name: str):
    # torch takes a second or more to import: `faceedit --help` does without it.
    if name == "FaceEditor":
        from faceedit.editor import FaceEditor

        return FaceEditor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
