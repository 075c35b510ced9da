"""The page: what it shows, and what happens when something on it is touched. Built on Gradio."""

import contextlib
import ipaddress
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from importlib.resources import files
from pathlib import Path
from typing import ParamSpec, TypedDict, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import cv2
import gradio as gr
import numpy as np
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from faceedit.circumplex import EMOTIONS, Affect, grid_axis
from faceedit.editing.editor import FaceEditor
from faceedit.editing.paths import parse_path, path_targets
from faceedit.editing.photo import ChosenFace, animate, draw_grid, edit_chosen
from faceedit.errors import FaceEditError, NoFaceError, UsageError, is_out_of_memory
from faceedit.faces.estimate import FaceEstimate
from faceedit.media.animation import write_animation
from faceedit.media.image import WRITE_FORMATS, Photo, read_photo, write_photo
from faceedit.media.sheet import estimates_sheet

logger = logging.getLogger(__name__)
PREVIEW_SIDE = 1024  # pixels: what is shown; the download has the photo's own size
# Named on the circumplex, where there is room.
PLACED = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "excited", "bored", "tired", "calm")
ANIMATION_FPS = 12.0
MOST_UPLOAD = "100mb"
KEPT_SECONDS = 3600  # files made for the page are removed after this time
MOST_MEGAPIXELS = 60  # of a photo; each takes 3 MB while its visitor is there
MOST_HELD_MEGAPIXELS = 400  # of all visitors' photos
MOST_SESSIONS = 32  # whose photos are kept in memory
NOTICE = (
    "Edit photos of yourself, or of people who agreed to it. Every file that you download says in its metadata that it "
    "was edited. Estimates describe how a face looks in a photo, not what a person feels."
)

BeforeAfter = tuple[np.ndarray, np.ndarray]
Given = ParamSpec("Given")
Result = TypeVar("Result")


class CircumplexValue(TypedDict):
    """The circumplex control's value: where the face shall go, and where it is."""

    valence: float
    arousal: float
    source: tuple[float, float] | None


@dataclass(frozen=True)
class Session:
    """One visitor's photo. preview: a copy of at most PREVIEW_SIDE, scale times as large. chosen: the face to edit."""

    photo: Photo
    suffix: str
    preview: np.ndarray
    scale: float
    estimates: list[FaceEstimate]
    chosen: ChosenFace

    @property
    def chosen_in_preview(self) -> ChosenFace:
        """The chosen face, its alignment given in pixels of the preview."""
        matrix = self.chosen.encoded.matrix.copy()
        # A pixel at p of the preview lies at (p + 0.5) / scale - 0.5 of the photo.
        matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 / self.scale - 0.5)
        matrix[:, :2] /= self.scale
        return replace(self.chosen, encoded=replace(self.chosen.encoded, matrix=matrix))


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


class Page:
    """What the page's controls call."""

    def __init__(self, editor: FaceEditor, folder: Path):
        self.editor, self.folder = editor, folder
        self.held: WeakValueDictionary[int, np.ndarray] = WeakValueDictionary()

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
            photo = read_photo(Path(path))
            self._hold(photo.pixels)
            faces = self.editor.detect(photo.pixels)
            if not faces:
                raise NoFaceError("no face was found in the photo")
        except FaceEditError as error:
            raise gr.Error(str(error).replace(str(path), Path(path).name), print_exception=False) from error
        estimates = self.editor.judge.estimate(photo.pixels, faces)
        scale = min(1.0, PREVIEW_SIDE / max(photo.pixels.shape[:2]))
        size = [max(round(side * scale), 1) for side in photo.pixels.shape[1::-1]]
        preview = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo.pixels
        chosen = self._chosen(photo, estimates, 1)
        suffix = Path(path).suffix.lower()
        session = Session(photo, suffix if suffix in WRITE_FORMATS else ".png", preview, scale, estimates, chosen)
        marks = [(item.face.box * scale, *item.affect.pair) for item in estimates]
        labels = [(label(number, item), number) for number, item in enumerate(estimates, 1)]
        source = chosen.encoded.source
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
        session = replace(session, chosen=self._chosen(session.photo, session.estimates, number))
        source = session.chosen.encoded.source
        return session, point(source), *rounded(source), (session.preview, session.preview)

    @told
    def edit(self, session: Session | None, valence: float, arousal: float) -> tuple[BeforeAfter | None, str]:
        """The photo, before and after, and a word where the target lies beyond what was learnt."""
        if session is None:
            return None, ""
        target = Affect(valence, arousal)
        chosen = session.chosen_in_preview
        face = chosen.edited(target, self.editor.support)
        edited = self.editor.edit_face(session.preview, chosen.encoded, target)
        beyond = (
            f"Beyond what was learnt: this is the nearest, {face.nearest_supported}." if face.beyond_support else ""
        )
        return (session.preview, edited), beyond

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
        targets = path_targets(parse_path(path.strip()), round(seconds * ANIMATION_FPS), loop=True)
        photo, chosen = session.photo, session.chosen
        if whole:
            photo, chosen = photo.with_pixels(session.preview), session.chosen_in_preview
        frames, like = animate(self.editor, photo, chosen, targets, path, crop=not whole)
        output = self._output(session, "animated.webp")
        write_animation(output, progress.tqdm(frames, total=len(targets), desc="frames"), ANIMATION_FPS, True, like)
        return str(output)

    def _hold(self, pixels: np.ndarray) -> None:
        """Count a photo that is kept in memory while its visitor is there. Raises UsageError for too many pixels."""
        megapixels = pixels.size // 3_000_000
        if megapixels > MOST_MEGAPIXELS:
            raise UsageError(f"the photo has {megapixels} megapixels, more than the {MOST_MEGAPIXELS} of this page")
        held = sum(other.size // 3_000_000 for other in list(self.held.values()))
        if held + megapixels > MOST_HELD_MEGAPIXELS:
            raise UsageError("the page holds as many photos of others as it can: try again later")
        self.held[id(pixels)] = pixels

    def _chosen(self, photo: Photo, estimates: list[FaceEstimate], number: int) -> ChosenFace:
        found = estimates[number - 1]
        return ChosenFace(number, found.face, self.editor.encode(photo.pixels, found.face, found.affect))

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


def build(editor: FaceEditor, folder: Path) -> gr.Blocks:
    """The page for an editor; what it makes goes into the folder."""
    page = Page(editor, folder)
    here = files("faceedit.web")
    learnt = " ".join(f"{100 * valence:.0f},{-100 * arousal:.0f}" for valence, arousal in editor.support.hull)
    with gr.Blocks(title="faceedit", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as blocks:
        session = gr.State(time_to_live=KEPT_SECONDS)
        gr.Markdown("# faceedit\nGive a face in a photo another expression.")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                upload = gr.File(label="Photo", file_types=["image"], height=120)
                with gr.Tabs():
                    with gr.Tab("Edit"):
                        picture = gr.ImageSlider(
                            label="Before and after",
                            format="jpeg",
                            interactive=False,
                            elem_id="picture",
                            max_height=640,
                            slider_position=0,
                        )
                        save = gr.Button("Download at full size", variant="primary", elem_id="save")
                        saved = gr.DownloadButton("Download", elem_classes="fetched", elem_id="saved")
                    with gr.Tab("Grid"):
                        steps = gr.Slider(3, 9, 7, step=2, label="Cells along each axis")
                        draw = gr.Button("Draw the grid", variant="primary", elem_id="draw")
                        sheet = gr.Image(label="Grid", type="filepath", interactive=False, elem_id="sheet")
                    with gr.Tab("Animate"):
                        path = gr.Dropdown(
                            ["circle", "neutral,happy", "happy,surprised,neutral", "neutral,sad,angry"],
                            value="circle",
                            allow_custom_value=True,
                            label="Path: circle, emotions, or points such as 0,0 0.8,0.2",
                        )
                        seconds = gr.Slider(1, 8, 3, step=0.5, label="Seconds")
                        whole = gr.Checkbox(False, label="The whole photo, not the face alone")
                        play = gr.Button("Animate", variant="primary", elem_id="play")
                        film = gr.Image(label="Animation", type="filepath", interactive=False, elem_id="film")
                    with gr.Tab("Estimate"):
                        overlay = gr.Image(
                            label="How the faces look", format="jpeg", interactive=False, elem_id="overlay"
                        )
            with gr.Column(scale=2, min_width=320):
                face = gr.Radio(label="Face", choices=[], type="value")
                circumplex = gr.HTML(
                    point(None),
                    html_template=(here / "circumplex.html").read_text(),
                    js_on_load=(here / "circumplex.js").read_text(),
                    learnt=learnt,
                    names={name: [round(value, 2) for value in EMOTIONS[name].pair] for name in PLACED},
                    elem_classes="circumplex",
                    apply_default_css=False,
                )
                valence = gr.Slider(-1, 1, 0, step=0.01, label="Valence (unpleasant to pleasant)")
                arousal = gr.Slider(-1, 1, 0, step=0.01, label="Arousal (calm to aroused)")
                beyond = gr.Markdown("", elem_id="beyond")
        gr.Markdown(NOTICE)

        upload.change(page.open, upload, [session, face, circumplex, valence, arousal, picture, overlay, beyond])
        face.input(page.choose, [session, face], [session, circumplex, valence, arousal, picture])
        # What a drag moves follows it in the browser; of the edits, the last one asked for is always made.
        follow = "(value) => [value.valence, value.arousal]"
        circumplex.input(None, circumplex, [valence, arousal], js=follow, show_progress="hidden")
        for slider in (valence, arousal):
            lead = "(value, valence, arousal) => ({ ...value, valence, arousal })"
            slider.input(None, [circumplex, valence, arousal], circumplex, js=lead, show_progress="hidden")
        asked, shown = [session, valence, arousal], [picture, beyond]
        circumplex.input(page.edit_at, [session, circumplex], shown, show_progress="hidden", trigger_mode="always_last")
        for slider in (valence, arousal):
            slider.input(page.edit, asked, shown, show_progress="hidden", trigger_mode="always_last")
        click = "() => document.querySelector('#saved').click()"
        save.click(page.download, asked, saved).success(None, js=click)
        draw.click(page.grid, [session, steps], sheet)
        play.click(page.animate, [session, path, seconds, whole], film)
    return blocks


class KnownHosts:
    """Refuses requests to names that the page is not served under.

    A hostile page can have its own name lead to this machine, and then read what is served here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]):
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self.is_known(Headers(scope=scope).get("host", "")):
            await PlainTextResponse("this page is not served under that name", 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def is_known(self, host: str) -> bool:
        """Whether it is one of the names, or an address, which nobody can have lead elsewhere."""
        name = urlsplit(f"//{host}").hostname or ""
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self.names


def launch(
    editor: FaceEditor,
    folder: Path,
    host: str,
    port: int | None,
    browser: bool = False,
    names: Sequence[str] = (),
) -> gr.Blocks:
    """Serve the page in the background, from the first free port on where none is given; `.local_url` is where.

    names: under which it is reached, beside localhost, the host and addresses; others are refused.
    Of the file system, visitors can reach what they sent and what was made for them.
    Raises UsageError for an address that is taken.
    """
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # it keeps names of photos in the browser, and opens a route
    blocks = build(editor, folder)
    blocks.queue(default_concurrency_limit=1)  # edits take turns: one alone uses every core
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            ssr_mode=False,
            max_file_size=MOST_UPLOAD,
            app_kwargs={"middleware": [Middleware(KnownHosts, names=frozenset({"localhost", host, *names}))]},
            state_session_capacity=MOST_SESSIONS,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=(files("faceedit.web") / "page.css").read_text(),
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise UsageError(f"cannot serve on {host}, port {port or 'any'}: {error}") from error
    return blocks
