"""What happens when something on the page is touched."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import gradio as gr
import numpy as np

from faceedit.circumplex import grid_axis
from faceedit.editing.editor import FaceEditor
from faceedit.editing.paths import timed_path
from faceedit.editing.photo import animate, draw_grid, edit_chosen
from faceedit.editing.target import Request
from faceedit.editing.tracking import follow
from faceedit.editing.video import edited_frames
from faceedit.errors import FaceEditError, is_out_of_memory
from faceedit.media.image import Photo, write_photo
from faceedit.media.provenance import COMPOSITE, declaration
from faceedit.media.video import Video, rewrite_video
from faceedit.web.session import Session, Sessions
from faceedit.web.shown import (
    CircumplexValue,
    Result,
    after,
    before,
    circumplex_value,
    picture_value,
    result,
    sentence,
    thumbnail,
)

logger = logging.getLogger(__name__)
ANIMATION_FPS = 12.0
PACKAGE = Path(__file__).parents[1]
# In a wheel, and in the repository.
EXAMPLES = (PACKAGE / "web" / "astronaut.jpg", PACKAGE.parents[1] / "examples" / "astronaut.jpg")

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
# What a control becomes; of a session and of what is shown of it, in the order of `layout.Shown`.
Update = dict[str, object]
Shown = tuple[Session | None, Update, CircumplexValue, float, float, float, str, Update, Update, Update, Update]
Edited = tuple[Session | None, Update, str, Update, Update, Update]


def told(work: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """The same work, where errors of ours and memory that runs out become messages on the page."""

    @wraps(work)
    def telling(*arguments: Given.args, **named: Given.kwargs) -> Returned:
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
    def open(self, path: str) -> Shown:
        """A photo or a film has come: show it. Its faces are found by `find`."""
        try:
            session = self.sessions.open(Path(path))
        except FaceEditError as error:
            raise gr.Error(str(error).replace(str(path), Path(path).name), print_exception=False) from error
        return self._all(session, pictures=True)

    @told
    def example(self) -> Shown:
        """Open the photo that comes with the program."""
        return self._all(self.sessions.open(next(path for path in EXAMPLES if path.is_file())), pictures=True)

    def close(self) -> Shown:
        """The photo was taken away."""
        return self._all(None, pictures=True)

    @told
    def find(self, session: Session | None) -> Shown:
        """Find the faces of what was opened, and choose the largest."""
        return self._all(session and self.sessions.find(session), pictures=True)

    @told
    def choose(self, session: Session | None, chosen: gr.SelectData) -> Shown:
        """A face was clicked on the picture."""
        return self._choose(session, int(chosen.index))

    @told
    def edit(
        self,
        session: Session | None,
        valence: float,
        arousal: float,
        strength: float = 1.0,
        moving: bool = False,
        emotion: str = "",
    ) -> Edited:
        """The chosen face goes elsewhere, and looks like an emotion there if one is named. moving: the control has not
        been let go of yet."""
        if session is not None and session.number:
            session = session.asking(Request(valence, arousal, emotion or None, strength=strength), moving)
        return self._edited(session)

    @told
    def slide(self, session: Session | None, valence: float, arousal: float, strength: float) -> Edited:
        """The same, for a slider that is still held."""
        return self.edit(session, valence, arousal, strength, moving=True)

    @told
    def edit_at(self, session: Session | None, value: CircumplexValue, strength: float) -> Edited:
        """The same, for the circumplex control's value."""
        return self.edit(session, value["valence"], value["arousal"], strength, value["moving"], value["emotion"])

    @told
    def undo(self, session: Session | None) -> Shown:
        return self._all(session and session.stepping(self.editor, -1))

    @told
    def redo(self, session: Session | None) -> Shown:
        return self._all(session and session.stepping(self.editor, 1))

    @told
    def reset(self, session: Session | None) -> Shown:
        """Take all edits away, which can be undone."""
        return self._all(session and session.cleared(self.editor))

    @told
    def download(
        self,
        session: Session | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio is asked for it
    ) -> str:
        """The path of the edited photo or film at its full size."""
        session = opened(session)
        if not session.edits:
            raise gr.Error("Choose an expression first.", print_exception=False)
        if session.film is not None:
            return self._filmed(session, session.film, progress)
        edited = edit_chosen(self.editor, session.photo, session.choices).photo
        return str(self._written(f"edited{session.suffix}", edited))

    @told
    def grid(self, session: Session | None, steps: int) -> Result:
        """A grid over the plane."""
        session = opened(session)
        drawn = draw_grid(self.editor, session.photo, session.chosen, grid_axis(int(steps)))
        alt = f"Face {session.number} over the circumplex: valence to the right, arousal upwards"
        return result(self._written("grid.png", drawn.photo), alt)

    @told
    def animate(
        self,
        session: Session | None,
        path: str,
        seconds: float,
        whole: bool,
        kind: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio is asked for it
    ) -> Result:
        """An animation as WebP, GIF or MP4."""
        session = opened(session)
        timed = timed_path(path.strip(), seconds, ANIMATION_FPS, loop=True)
        photo, chosen = session.photo, session.chosen
        if whole:
            photo, chosen = Photo(session.under, name=photo.name), session.in_preview(chosen)
        animation = animate(self.editor, photo, chosen, timed, crop=not whole)
        output = self._output(f"animated.{kind.lower()}")
        shown = progress.tqdm(animation.frames, total=len(animation), desc="frames")
        replace(animation, frames=shown).save(output)
        return result(output, f"Face {session.number} on its way: {timed.path}")

    def _all(self, session: Session | None, pictures: bool = False) -> Shown:
        """What is shown of a session; pictures: also the photo before."""
        value = circumplex_value(session)
        session, picture, text, undo, redo, save = self._edited(session)
        small = gr.update()
        if pictures and session is not None:
            picture["before"] = before(session)
            small = gr.update(value=thumbnail(session), visible=True)
        elif pictures:
            small = gr.update(value="", visible=False)
        picture["value"] = picture_value(session)
        strength = session.strength if session is not None and session.number else 1.0
        return session, picture, value, value["valence"], value["arousal"], strength, text, undo, redo, save, small

    def _choose(self, session: Session | None, number: int) -> Shown:
        if session is not None and 1 <= number <= len(session.estimates):
            session = session.choosing(self.editor, number)
        return self._all(session)

    def _edited(self, session: Session | None) -> Edited:
        """What an edit changes on the page."""
        if session is None:
            off = gr.update(interactive=False)
            return None, gr.update(before="", after=""), "", off, off, off
        picture = gr.update(after=after(session, self.editor))
        able = (session.at > 0, session.at < len(session.steps) - 1, bool(session.edits))
        undo, redo, save = (gr.update(interactive=one) for one in able)
        return session, picture, sentence(session, self.editor.support), undo, redo, save

    def _filmed(self, session: Session, film: Video, progress: gr.Progress) -> str:
        """The path of the film with each of the edited faces followed."""
        tracks = []
        for number, request in session.edits.items():
            frames = progress.tqdm(film, total=film.frames, desc=f"following face {number}")
            tracks.append((follow(self.editor, frames, film.fps, str(number)), request))

        def edit(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            frames = progress.tqdm(frames, total=film.frames, desc="editing")
            for track, request in tracks:
                frames = edited_frames(self.editor, frames, track, request)
            return frames

        what = "; ".join(f"face {face.number}: {face.encoded.source} → {target}" for face, target in session.choices)
        output = self._output(f"edited{session.suffix}")
        rewrite_video(film, output, edit, declaration(COMPOSITE, self.editor.weights, what))
        return str(output)

    def _written(self, name: str, picture: Photo) -> Path:
        output = self._output(name)
        write_photo(output, picture)
        return output

    def _output(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder)) / f"face-{name}"


def opened(session: Session | None) -> Session:
    if session is None or not session.number:
        raise gr.Error("Open a photo with a face first.", print_exception=False)
    return session
