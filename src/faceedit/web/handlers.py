"""What happens when something on the page is touched."""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypedDict, TypeVar

import gradio as gr
import numpy as np

from faceedit.circumplex import Affect, grid_axis
from faceedit.editing.editor import FaceEditor
from faceedit.editing.paths import timed_path
from faceedit.editing.photo import animate, draw_grid, edit_chosen
from faceedit.errors import FaceEditError, is_out_of_memory
from faceedit.faces.estimate import FaceEstimate
from faceedit.media.image import Photo, write_photo
from faceedit.media.sheet import estimates_sheet
from faceedit.web.session import Session, Sessions

logger = logging.getLogger(__name__)
ANIMATION_FPS = 12.0

BeforeAfter = tuple[np.ndarray, np.ndarray]
Given = ParamSpec("Given")
Result = TypeVar("Result")


class CircumplexValue(TypedDict):
    """The circumplex control's value: where the face shall go, and where it is."""

    valence: float
    arousal: float
    source: tuple[float, float] | None


def told(work: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same work, where errors of ours and memory that runs out become messages on the page."""

    @wraps(work)
    def telling(*arguments: Given.args, **named: Given.kwargs) -> Result:
        try:
            return work(*arguments, **named)
        except gr.Error:
            raise
        except FaceEditError as error:
            raise gr.Error(without_folders(str(error)), print_exception=False) from error
        except Exception as error:
            if is_out_of_memory(error):
                raise gr.Error("There is not enough memory for this photo.", print_exception=False) from error
            logger.exception("the page failed")
            message = f"This did not work ({type(error).__name__}). The log of the page says why."
            raise gr.Error(message, print_exception=False) from error

    return telling


def without_folders(message: str) -> str:
    """The message with the names of files alone: where they lie on the server is nobody's business."""
    words = message.split(" ")
    return " ".join(word.rpartition("/")[2] if word.startswith("/") else word for word in words)


class Handlers:
    """What the page's controls call; what they make goes into the folder."""

    def __init__(self, editor: FaceEditor, folder: Path):
        self.editor, self.folder = editor, folder
        self.sessions = Sessions(editor)

    @told
    def open(
        self, path: str | None
    ) -> tuple[
        Session | None, dict[str, object], CircumplexValue, float, float, BeforeAfter | None, np.ndarray | None, str
    ]:
        """A photo has come: find its faces, choose the largest."""
        if path is None:
            return None, gr.update(choices=[], value=None), point(None), 0, 0, None, None, ""
        try:
            session = self.sessions.open(Path(path))
        except FaceEditError as error:
            raise gr.Error(str(error).replace(str(path), Path(path).name), print_exception=False) from error
        scale, preview, estimates = session.scale, session.preview, session.estimates
        marks = [(item.face.box * scale, *item.affect.pair) for item in estimates]
        labels = [(label(number, item), number) for number, item in enumerate(estimates, 1)]
        source = session.chosen.encoded.source
        return (
            session,
            gr.update(choices=labels, value=1),
            point(source),
            *rounded(source),
            (preview, preview),
            estimates_sheet(preview, marks),
            "",
        )

    @told
    def choose(
        self, session: Session | None, number: int | None
    ) -> tuple[Session | None, CircumplexValue, float, float, BeforeAfter | None]:
        """Another face of the photo was chosen."""
        if session is None or number is None:
            return session, point(None), 0, 0, None
        session = session.choosing(self.editor, number)
        source = session.chosen.encoded.source
        return session, point(source), *rounded(source), (session.preview, session.preview)

    @told
    def edit(self, session: Session | None, valence: float, arousal: float) -> tuple[BeforeAfter | None, str]:
        """The photo, before and after, and a sentence where the target lies beyond the training labels."""
        if session is None:
            return None, ""
        target = Affect(valence, arousal)
        chosen = session.chosen_in_preview
        face = chosen.edited(target, self.editor.support)
        edited = self.editor.edit_face(session.preview, chosen.encoded, target)
        beyond = f"Beyond the training labels: this is the nearest supported, {face.nearest_supported}."
        return (session.preview, edited), beyond if face.beyond_support else ""

    @told
    def edit_at(self, session: Session | None, value: CircumplexValue) -> tuple[BeforeAfter | None, str]:
        """The same, for the circumplex control's value."""
        return self.edit(session, value["valence"], value["arousal"])

    @told
    def download(self, session: Session | None, valence: float, arousal: float) -> str:
        """The path of the edited photo at its full size."""
        session = opened(session)
        edited = edit_chosen(self.editor, session.photo, session.chosen, Affect(valence, arousal)).photo
        return self._written(session, f"edited{session.suffix}", edited)

    @told
    def grid(self, session: Session | None, steps: int) -> str:
        """The path of a grid over the plane."""
        session = opened(session)
        drawn = draw_grid(self.editor, session.photo, session.chosen, grid_axis(int(steps)))
        return self._written(session, "grid.png", drawn.photo)

    @told
    def animate(
        self,
        session: Session | None,
        path: str,
        seconds: float,
        whole: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio is asked for it
    ) -> str:
        """The path of an animation as WebP."""
        session = opened(session)
        timed = timed_path(path.strip(), seconds, ANIMATION_FPS, loop=True)
        photo, chosen = session.photo, session.chosen
        if whole:
            photo, chosen = Photo(session.preview, name=photo.name), session.chosen_in_preview
        animation = animate(self.editor, photo, chosen, timed, crop=not whole)
        output = self._output(session, "animated.webp")
        shown = progress.tqdm(animation.frames, total=len(animation), desc="frames")
        replace(animation, frames=shown).save(output)
        return str(output)

    def _written(self, session: Session, name: str, picture: Photo) -> str:
        output = self._output(session, name)
        write_photo(output, picture)
        return str(output)

    def _output(self, session: Session, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder)) / f"face-{name}"


def opened(session: Session | None) -> Session:
    if session is None:
        raise gr.Error("Open a photo first.", print_exception=False)
    return session


def rounded(affect: Affect) -> tuple[float, float]:
    return round(affect.valence, 2), round(affect.arousal, 2)


def point(source: Affect | None) -> CircumplexValue:
    """The circumplex control's value for a face: where it shall go is at first where it is."""
    place = rounded(source) if source else None
    valence, arousal = place or (0, 0)
    return {"valence": valence, "arousal": arousal, "source": place}


def label(number: int, estimate: FaceEstimate) -> str:
    looks = max(estimate.probabilities, key=estimate.probabilities.__getitem__)
    return f"{number}: {looks}, {estimate.affect}"
