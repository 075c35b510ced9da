"""What stands where on the page, and what each control calls. Built on Gradio."""

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from faceedit.circumplex import EMOTIONS
from faceedit.editing.editor import FaceEditor
from faceedit.files import VIDEO_SUFFIXES
from faceedit.media.formats import WRITE_FORMATS
from faceedit.web.handlers import Handlers
from faceedit.web.shown import NO_RESULT, PLACED, circumplex_value, is_covered, picture_value, rounded

IN_TURN: dict[str, Any] = {"concurrency_id": "session"}  # of what changes a session: two at once would lose one's work
KEPT_SECONDS = 3600  # files made for the page are removed after this time
HERE = files("faceedit.web")
NOTICE = (
    "Edit photos of yourself, or of people who agreed. What you download says in its metadata that it was edited. "
    "What a face looks like is not what a person feels."
)


class Shown(NamedTuple):
    """What shows a session: the outputs of most handlers."""

    session: gr.State
    picture: gr.HTML
    circumplex: gr.HTML
    valence: gr.Slider
    arousal: gr.Slider
    strength: gr.Slider
    said: gr.Markdown
    undo: gr.Button
    redo: gr.Button
    save: gr.Button
    thumbnail: gr.HTML

    @property
    def edited(self) -> list[gr.blocks.Block]:
        """What an edit changes; the controls that asked for it stay as they are."""
        return [self.session, self.picture, self.said, self.undo, self.redo, self.save]


class Sheets(NamedTuple):
    """What is made of the chosen face beside edits."""

    steps: gr.Slider
    draw: gr.Button
    sheet: gr.HTML
    path: gr.Dropdown
    seconds: gr.Slider
    whole: gr.Checkbox
    kind: gr.Radio
    play: gr.Button
    film: gr.HTML


def build(editor: FaceEditor, folder: Path) -> gr.Blocks:
    """The page for an editor; what it makes goes into the folder."""
    with gr.Blocks(title="faceedit", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as blocks:
        session = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row(equal_height=True, elem_id="top"):
            gr.Markdown("# faceedit\nGive a face in a photo or a film another expression.")
            thumbnail = gr.HTML("", visible=False, min_width=72, scale=0, elem_id="thumbnail", apply_default_css=False)
            kinds = ["image", *WRITE_FORMATS, *VIDEO_SUFFIXES]
            upload = gr.File(label="Photo or film", file_types=kinds, height=72, min_width=280, elem_id="upload")
            example = gr.Button("Try the example", elem_id="example", scale=0, min_width=150, size="sm")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                with gr.Tab("Edit"):
                    picture = _control("picture", picture_value(None), before="", after="", elem_id="picture")
                    with gr.Row(elem_id="steps"):
                        undo = gr.Button("Undo", interactive=False, min_width=60, elem_id="undo")
                        redo = gr.Button("Redo", interactive=False, min_width=60, elem_id="redo")
                        reset = gr.Button("Reset", min_width=60, elem_id="reset")
                        save = gr.Button("Download", variant="primary", interactive=False, min_width=90, elem_id="save")
                    saved = gr.DownloadButton("Download", elem_classes="fetched", elem_id="saved")
                sheets = _sheets()
            with gr.Column(scale=2, min_width=320):
                circumplex = _circumplex(editor)
                said = gr.Markdown("", elem_id="said")
                valence = gr.Slider(-1, 1, 0, step=0.01, label="Valence (unpleasant to pleasant)")
                arousal = gr.Slider(-1, 1, 0, step=0.01, label="Arousal (calm to aroused)")
                strength = gr.Slider(0, 1, 1, step=0.05, label="Strength (how much of the way is gone)")
        gr.Markdown(NOTICE, elem_id="notice")
        shown = Shown(session, picture, circumplex, valence, arousal, strength, said, undo, redo, save, thumbnail)
        handlers = Handlers(editor, folder)
        _connect_opening(handlers, upload, example, shown)
        _connect_edits(handlers, shown, reset)
        _connect_files(handlers, shown, saved, sheets)
    return blocks


def _control(name: str, value: object, **props: Any) -> gr.HTML:
    """A control of our own: its template, and its script where it has one, go by its name."""
    script = HERE / f"{name}.js"
    return gr.HTML(
        value,
        html_template=(HERE / f"{name}.html").read_text(),
        js_on_load=script.read_text() if script.is_file() else None,
        elem_classes=name,
        apply_default_css=False,
        **props,
    )


def _circumplex(editor: FaceEditor) -> gr.HTML:
    support = " ".join(f"{100 * valence:.0f},{-100 * arousal:.0f}" for valence, arousal in editor.support.hull)
    covered = {name: is_covered(editor.support, place) for name, place in EMOTIONS.items()}
    placed = [{"name": name, "covered": covered[name], "at": rounded(EMOTIONS[name])} for name in PLACED]
    emotions = [name for name in EMOTIONS if covered[name]]
    return _control(
        "circumplex", circumplex_value(None), support=support, placed=placed, emotions=emotions, elem_id="circumplex"
    )


def _sheets() -> Sheets:
    with gr.Tab("Grid"):
        with gr.Row(equal_height=True):
            steps = gr.Slider(3, 9, 7, step=2, label="Cells along each axis")
            draw = gr.Button("Draw the grid", variant="primary", elem_id="draw")
        sheet = _control("result", NO_RESULT, elem_id="sheet")
    with gr.Tab("Animate"):
        with gr.Row():
            path = gr.Dropdown(
                ["circle", "neutral,happy", "happy,surprised,neutral", "neutral,sad,angry"],
                value="circle",
                allow_custom_value=True,
                label="Path: circle, emotions, or points (0,0 0.8,0.2)",
            )
            seconds = gr.Slider(1, 8, 3, step=0.5, label="Seconds", min_width=160)
        with gr.Row(equal_height=True):
            kind = gr.Radio(["WebP", "GIF", "MP4"], value="WebP", label="Format", min_width=290)
            whole = gr.Checkbox(False, label="The whole photo, not the face alone", min_width=290)
        play = gr.Button("Animate", variant="primary", elem_id="play")
        film = _control("result", NO_RESULT, elem_id="film")
    return Sheets(steps, draw, sheet, path, seconds, whole, kind, play, film)


def _connect_opening(handlers: Handlers, upload: gr.File, example: gr.Button, shown: Shown) -> None:
    """Show what comes at once, then look for its faces."""
    upload.clear(handlers.close, None, shown, show_progress="hidden", **IN_TURN)
    for opening in (
        upload.upload(handlers.open, upload, shown, show_progress_on=shown.picture, **IN_TURN),
        example.click(handlers.example, None, shown, show_progress_on=shown.picture, **IN_TURN),
    ):
        opening.success(handlers.find, shown.session, shown, show_progress_on=shown.said, **IN_TURN)


def _connect_edits(handlers: Handlers, shown: Shown, reset: gr.Button) -> None:
    session, picture, circumplex, *sliders = shown[:6]
    picture.select(handlers.choose, session, shown, show_progress="hidden", **IN_TURN)
    # What a drag moves follows it in the browser; of the edits, the last one asked for is always made.
    follow = "(value) => [value.valence, value.arousal]"
    circumplex.input(None, circumplex, sliders[:2], js=follow, show_progress="hidden")
    lead = "(value, valence, arousal) => ({ ...value, valence, arousal })"
    for slider in sliders[:2]:
        slider.input(None, [circumplex, *sliders[:2]], circumplex, js=lead, show_progress="hidden")
    edits: dict[str, Any] = {
        "outputs": shown.edited,
        "show_progress": "hidden",
        "trigger_mode": "always_last",
    } | IN_TURN
    circumplex.input(handlers.edit_at, [session, circumplex, sliders[2]], **edits)
    for slider in sliders:
        slider.input(handlers.slide, [session, *sliders], **edits)
        slider.release(handlers.edit, [session, *sliders], **edits)
    for button, handler in ((shown.undo, handlers.undo), (shown.redo, handlers.redo), (reset, handlers.reset)):
        button.click(handler, session, shown, show_progress="hidden", **IN_TURN)


def _connect_files(handlers: Handlers, shown: Shown, saved: gr.DownloadButton, sheets: Sheets) -> None:
    click = "() => document.querySelector('#saved').click()"
    for ask in (shown.save.click, shown.picture.download):
        ask(handlers.download, shown.session, saved, show_progress_on=shown.picture).success(None, js=click)
    sheets.draw.click(handlers.grid, [shown.session, sheets.steps], sheets.sheet)
    sheets.play.click(
        handlers.animate,
        [shown.session, sheets.path, sheets.seconds, sheets.whole, sheets.kind],
        sheets.film,
    )
