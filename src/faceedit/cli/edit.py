"""The command that edits photos, or one face through each of some videos."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from faceedit.cli.app import (
    FACES,
    MACHINE,
    OUTPUT,
    TARGET,
    AsJson,
    Device,
    Overwrite,
    Photos,
    Recursive,
    Weights,
    command,
)
from faceedit.cli.completion import emotion_names
from faceedit.cli.run import Naming, Output, SkipExisting, process
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditResult
    from faceedit.media.image import Photo

Valence = Annotated[
    float | None,
    typer.Option(
        help="Target valence, -1 (unpleasant) to 1 (pleasant); without --arousal, that stays as it is.",
        rich_help_panel=TARGET,
    ),
]
Arousal = Annotated[
    float | None,
    typer.Option(
        help="Target arousal, -1 (calm) to 1 (excited); without --valence, that stays as it is.",
        rich_help_panel=TARGET,
    ),
]
Emotion = Annotated[
    str | None,
    typer.Option(
        help="A target by name: neutral, happy, sad, surprised, afraid, disgusted, angry, contemptuous, excited, calm "
        "or tired; or a step from where the face is: happier, sadder, angrier, calmer, sleepier, or more with a name.",
        autocompletion=emotion_names,
        rich_help_panel=TARGET,
    ),
]
Intensity = Annotated[
    float | None,
    typer.Option(help="Of the emotion, 0 (neutral) to 1.  [default: 1.0]", rich_help_panel=TARGET),
]
Neutralise = Annotated[bool, typer.Option("--neutralise", help="Take the expression away.", rich_help_panel=TARGET)]
Relative = Annotated[
    bool,
    typer.Option(
        "--relative", help="Move by valence and arousal from where the face is, by up to 2.", rich_help_panel=TARGET
    ),
]
Strength = Annotated[float, typer.Option(help="How much of the way to go, 0 to 2.", rich_help_panel=TARGET)]
FaceChoices = Annotated[
    list[str] | None,
    typer.Option(
        metavar="largest|all|N|N=EMOTION",
        help="Which face, N counting from 1, the largest; again for further faces.  [default: largest]",
        rich_help_panel=FACES,
    ),
]
Crop = Annotated[
    bool,
    typer.Option("--crop", help="Write the networks' own aligned drawing of the face instead.", rich_help_panel=OUTPUT),
]
NoSourceMetadata = Annotated[
    bool,
    typer.Option(
        "--no-source-metadata",
        help="Leave out the photo's own EXIF (camera, place) and XMP.",
        rich_help_panel=OUTPUT,
    ),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="ray: share the photos out over a Ray cluster; needs `faceedit[ray]`.", rich_help_panel=MACHINE),
]


@command(
    "Photos",
    "faceedit edit photo.jpg --emotion happy --intensity 0.6",
    "faceedit edit photo.jpg --valence 0.5 -o calmer.png",
    "faceedit edit group.jpg --face 1=happy --face 2=sad",
    "faceedit edit portraits/ --emotion neutral -o neutral/ --skip-existing",
)
def edit(
    photos: Photos,
    valence: Valence = None,
    arousal: Arousal = None,
    emotion: Emotion = None,
    intensity: Intensity = None,
    neutralise: Neutralise = False,
    relative: Relative = False,
    strength: Strength = 1.0,
    output: Output = None,
    face: FaceChoices = None,
    crop: Crop = False,
    no_source_metadata: NoSourceMetadata = False,
    recursive: Recursive = False,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    engine: Engine = "local",
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Give faces in photos another expression, at the photos' full size; or one face through a video."""
    from faceedit.batch import find_videos
    from faceedit.cli.video import edit_videos
    from faceedit.editing.request import LARGEST, Request, parse_choices

    if neutralise:
        if emotion is not None:
            raise UsageError("--neutralise and --emotion name two targets: give one")
        emotion = "neutral"
    choices = face or [LARGEST]
    request = None
    named = ["=" in choice for choice in choices]
    if all(named):
        if relative or {valence, arousal, emotion} != {None}:
            raise UsageError("each --face names its own emotion: leave out other targets, and --relative")
    else:
        shared = intensity if emotion is not None or not any(named) else None
        request = Request(valence, arousal, emotion, shared, relative, strength)
    parsed = parse_choices(choices, request, intensity, strength)
    tag, suffix = ("crop", ".png") if crop else ("edited", None)
    naming = Naming(tag=tag, suffix=suffix, output=output, overwrite=overwrite, skip_existing=skip_existing)
    if videos := find_videos(photos, recursive):
        if engine == "ray":
            raise UsageError("a video is edited on one machine: leave out --engine ray")
        if crop or as_json or len(parsed) > 1 or parsed[0][0] == "all":
            raise UsageError("in a video one face is edited: leave out --crop, --json and --face all")
        edit_videos(videos, naming, not no_source_metadata, *parsed[0], weights, device)
        return

    def work(editor: "FaceEditor", photo: "Photo") -> "EditResult":
        from faceedit.editing.photo import edit_photo

        return edit_photo(editor, photo, parsed, crop, not no_source_metadata)

    process(photos, recursive, naming, weights, device, as_json, work, engine)
