"""What the page's own controls show of a session: the picture, the circumplex and a sentence."""

import base64
import math
from pathlib import Path
from typing import TypedDict

import numpy as np
from gradio.data_classes import FileData

from faceedit.circumplex import CLASS_MEANS, EMOTIONS, Affect, Point, Support, emotion_from
from faceedit.editing.editor import FaceEditor
from faceedit.faces.detector import reduced
from faceedit.faces.estimate import FaceEstimate
from faceedit.media.image import Photo, encode_photo
from faceedit.media.provenance import COMPOSITE, declared
from faceedit.web.session import Session

# Named on the circumplex, where there is room.
PLACED = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "excited", "tired", "calm")
THUMBNAIL_SIDE = 144  # pixels, shown at half of that


class FaceMark(TypedDict):
    """A face on the picture. box: left, top, width and height in percent of the picture."""

    number: int
    label: str
    box: list[float]


class PictureValue(TypedDict):
    """The picture control's value, beside the two pictures."""

    width: int
    height: int
    faces: list[FaceMark]
    chosen: int


class CircumplexValue(TypedDict):
    """The circumplex control's value.

    valence, arousal: where the face shall go. source: where it is. places: where each emotion leads this face. moving:
    the mark is being dragged. emotion: the name that was chosen, if any was.
    """

    valence: float
    arousal: float
    source: tuple[float, float] | None
    places: dict[str, tuple[float, float]]
    moving: bool
    emotion: str


class Result(TypedDict):
    """A grid or an animation. file: for Gradio to serve. film: it is an MP4."""

    file: dict[str, object] | None
    film: bool
    alt: str


NO_RESULT = Result(file=None, film=False, alt="")


def result(path: Path, alt: str) -> Result:
    """A file that was made, to be shown with a link to it. alt: what it shows, in words."""
    return Result(file=FileData(path=str(path), orig_name=path.name).model_dump(), film=path.suffix == ".mp4", alt=alt)


def is_covered(support: Support, affect: Affect) -> bool:
    """Whether a face can go there, and not only to the nearest that the training labels cover."""
    return support.nearest(affect) == affect


def circumplex_value(session: Session | None) -> CircumplexValue:
    if session is None or not session.number:
        places = {name: rounded(place) for name, place in EMOTIONS.items()}
        return _value(0, 0, None, places)
    source = session.chosen.encoded.source
    places = {name: rounded(emotion_from(source, name)) for name in EMOTIONS}
    valence, arousal = rounded(session.target)
    return _value(valence, arousal, rounded(source), places)


def _value(valence: float, arousal: float, source: Point | None, places: dict[str, Point]) -> CircumplexValue:
    return CircumplexValue(valence=valence, arousal=arousal, source=source, places=places, moving=False, emotion="")


def picture_value(session: Session | None) -> PictureValue:
    if session is None:
        return {"width": 0, "height": 0, "faces": [], "chosen": 0}
    height, width = session.preview.shape[:2]
    sides = np.array([width, height, width, height]) / 100
    faces = []
    for number, estimate in enumerate(session.estimates, 1):
        x0, y0, x1, y1 = (estimate.face.box * session.scale / sides).clip(0, 100).round(2).tolist()
        box = [x0, y0, x1 - x0, y1 - y0]
        faces.append(FaceMark(number=number, label=f"face {number}, looks {looks(estimate)}", box=box))
    return {"width": width, "height": height, "faces": faces, "chosen": session.number}


def before(session: Session) -> str:
    """The preview as it came, as the source of an image."""
    return _source(Photo(session.preview))


def thumbnail(session: Session) -> str:
    """An image of the photo in a few pixels, as HTML."""
    small = reduced(session.preview, THUMBNAIL_SIDE / max(session.preview.shape[:2]))
    return f'<img alt="The photo, small" src="{_source(Photo(small))}">'


def after(session: Session, editor: FaceEditor) -> str:
    """The preview with all edits, which says of itself what it is, as the source of an image."""
    picture = Photo(session.drawn(editor))
    what = "preview: " + "; ".join(str(face.edited(target, editor.support)) for face, target in session.choices)
    return _source(declared(picture, COMPOSITE, editor.weights, what) if session.edits else picture)


def sentence(session: Session | None, support: Support) -> str:
    """What is known of the chosen face, where it goes, and whether that is beyond the training labels."""
    if session is None or not session.number:
        return ""
    estimate = session.estimates[session.number - 1]
    said = f"Face {session.number} looks {looks(estimate)}: {estimate.affect}."
    request = session.edits.get(session.number)
    if request is None:
        return said
    target = request.target(estimate.affect)
    nearest = support.nearest(target)
    if nearest == target:
        return f"{said} It goes to {target}."
    return f"{said} Beyond the training labels ({target}): the nearest supported is shown, {nearest}."


def looks(estimate: FaceEstimate) -> str:
    """The nearest class on the circumplex, but for contempt: a smile is near happy, whatever class it is given."""
    names = [name for name in PLACED if name in CLASS_MEANS]
    return min(names, key=lambda name: math.dist(CLASS_MEANS[name], estimate.affect.pair))


def rounded(affect: Affect) -> tuple[float, float]:
    return round(affect.valence, 2), round(affect.arousal, 2)


def _source(photo: Photo) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(encode_photo(photo, "JPEG")).decode()
