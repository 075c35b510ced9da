"""What stands where on the page, and what each control calls. Built on Gradio."""

from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from faceedit.circumplex import EMOTIONS
from faceedit.editing.editor import FaceEditor
from faceedit.web.handlers import Handlers, point

# Named on the circumplex, where there is room.
PLACED = ("neutral", "happy", "sad", "surprised", "afraid", "disgusted", "angry", "excited", "tired", "calm")
KEPT_SECONDS = 3600  # files made for the page are removed after this time
NOTICE = (
    "Edit photos of yourself, or of people who agreed to it. Every file that you download says in its metadata that it "
    "was edited. Estimates describe how a face looks in a photo, not what a person feels."
)


class Results(NamedTuple):
    """The controls that show what is made of the photo."""

    picture: gr.ImageSlider
    save: gr.Button
    saved: gr.DownloadButton
    steps: gr.Slider
    draw: gr.Button
    sheet: gr.Image
    path: gr.Dropdown
    seconds: gr.Slider
    whole: gr.Checkbox
    play: gr.Button
    film: gr.Image
    overlay: gr.Image


class Target(NamedTuple):
    """The controls that say which face goes where."""

    face: gr.Radio
    circumplex: gr.HTML
    valence: gr.Slider
    arousal: gr.Slider
    beyond: gr.Markdown


def build(editor: FaceEditor, folder: Path) -> gr.Blocks:
    """The page for an editor; what it makes goes into the folder."""
    with gr.Blocks(title="faceedit", analytics_enabled=False, delete_cache=(KEPT_SECONDS, KEPT_SECONDS)) as blocks:
        session = gr.State(time_to_live=KEPT_SECONDS)
        gr.Markdown("# faceedit\nGive a face in a photo another expression.")
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                upload = gr.File(label="Photo", file_types=["image"], height=120)
                results = _results()
            with gr.Column(scale=2, min_width=320):
                target = _target(editor)
        gr.Markdown(NOTICE)
        _connect(Handlers(editor, folder), session, upload, results, target)
    return blocks


def _results() -> Results:
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
            overlay = gr.Image(label="How the faces look", format="jpeg", interactive=False, elem_id="overlay")
    return Results(picture, save, saved, steps, draw, sheet, path, seconds, whole, play, film, overlay)


def _target(editor: FaceEditor) -> Target:
    here = files("faceedit.web")
    support = " ".join(f"{100 * valence:.0f},{-100 * arousal:.0f}" for valence, arousal in editor.support.hull)
    face = gr.Radio(label="Face", choices=[], type="value")
    circumplex = gr.HTML(
        point(None),
        html_template=(here / "circumplex.html").read_text(),
        js_on_load=(here / "circumplex.js").read_text(),
        support=support,
        names={name: [round(value, 2) for value in EMOTIONS[name].pair] for name in PLACED},
        elem_classes="circumplex",
        apply_default_css=False,
    )
    valence = gr.Slider(-1, 1, 0, step=0.01, label="Valence (unpleasant to pleasant)")
    arousal = gr.Slider(-1, 1, 0, step=0.01, label="Arousal (calm to aroused)")
    beyond = gr.Markdown("", elem_id="beyond")
    return Target(face, circumplex, valence, arousal, beyond)


def _connect(handlers: Handlers, session: gr.State, upload: gr.File, results: Results, target: Target) -> None:
    """Let each control call its handler."""
    picture, (face, circumplex, valence, arousal, beyond) = results.picture, target
    opened = [session, face, circumplex, valence, arousal, picture, results.overlay, beyond]
    upload.change(handlers.open, upload, opened)
    face.input(handlers.choose, [session, face], [session, circumplex, valence, arousal, picture])
    # What a drag moves follows it in the browser; of the edits, the last one asked for is always made.
    follow = "(value) => [value.valence, value.arousal]"
    circumplex.input(None, circumplex, [valence, arousal], js=follow, show_progress="hidden")
    for slider in (valence, arousal):
        lead = "(value, valence, arousal) => ({ ...value, valence, arousal })"
        slider.input(None, [circumplex, valence, arousal], circumplex, js=lead, show_progress="hidden")
    asked, shown = [session, valence, arousal], [picture, beyond]
    circumplex.input(handlers.edit_at, [session, circumplex], shown, show_progress="hidden", trigger_mode="always_last")
    for slider in (valence, arousal):
        slider.input(handlers.edit, asked, shown, show_progress="hidden", trigger_mode="always_last")
    click = "() => document.querySelector('#saved').click()"
    results.save.click(handlers.download, asked, results.saved).success(None, js=click)
    results.draw.click(handlers.grid, [session, results.steps], results.sheet)
    results.play.click(handlers.animate, [session, results.path, results.seconds, results.whole], results.film)
