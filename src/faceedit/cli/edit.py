"""The command that edits photos, or one face through a video."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from faceedit.cli.app import (
    AsJson,
    Device,
    Overwrite,
    Photos,
    Recursive,
    Weights,
    app,
    failing_as,
    progress_bar,
    refuse_existing,
    say,
)
from faceedit.cli.run import Naming, Output, SkipExisting, process
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError
from faceedit.files import VIDEO_SUFFIXES

if TYPE_CHECKING:
    import numpy as np

    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditResult
    from faceedit.editing.request import Request
    from faceedit.media.image import Photo

Valence = Annotated[float | None, typer.Option(help="Target valence, -1 (unpleasant) to 1 (pleasant).")]
Arousal = Annotated[float | None, typer.Option(help="Target arousal, -1 (calm) to 1 (excited).")]
Emotion = Annotated[
    str | None, typer.Option(help="A target by name, such as happy, sad, surprised, angry, calm or tired.")
]
Intensity = Annotated[float, typer.Option(help="Of the emotion, 0 (neutral) to 1.")]
Neutralise = Annotated[bool, typer.Option("--neutralise", help="Take the expression away.")]
Relative = Annotated[
    bool, typer.Option("--relative", help="Move by valence and arousal from where the face is, by up to 2.")
]
Strength = Annotated[float, typer.Option(help="How much of the way to go, 0 to 2.")]
FaceChoices = Annotated[
    list[str] | None,
    typer.Option(
        metavar="largest|all|N|N=EMOTION",
        help="Which face, N counting from 1, the largest; again for further faces.  [default: largest]",
    ),
]
Crop = Annotated[bool, typer.Option("--crop", help="Write the networks' own aligned drawing of the face instead.")]
NoSourceMetadata = Annotated[
    bool, typer.Option("--no-source-metadata", help="Leave out the photo's own EXIF (camera, place) and XMP.")
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="ray: share the photos out over a Ray cluster; needs `faceedit[ray]`.")
]


@app.command()
def edit(
    photos: Photos,
    valence: Valence = None,
    arousal: Arousal = None,
    emotion: Emotion = None,
    intensity: Intensity = 1.0,
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
    from faceedit.editing.request import LARGEST, Request, parse_choices

    if neutralise:
        if emotion is not None:
            raise UsageError("--neutralise and --emotion name two targets: give one")
        emotion = "neutral"
    choices = face or [LARGEST]
    request = None
    if {valence, arousal, emotion} != {None} or not all("=" in choice for choice in choices):
        request = Request(valence, arousal, emotion, intensity, relative, strength)
    elif relative:
        raise UsageError("an emotion is a place, not a way: leave out --relative")
    parsed = parse_choices(choices, request, intensity, strength)
    if any(name.lower().endswith(VIDEO_SUFFIXES) for name in photos):
        path = _only_video(photos, engine, parsed, crop or as_json or skip_existing)
        with failing_as(f"{path} could not be edited"):
            _edit_video(path, output, overwrite, not no_source_metadata, *parsed[0], weights, device)
        return

    def work(editor: "FaceEditor", photo: "Photo") -> "EditResult":
        from faceedit.editing.photo import edit_photo

        return edit_photo(editor, photo, parsed, crop, not no_source_metadata)

    tag, suffix = ("crop", ".png") if crop else ("edited", None)
    naming = Naming(tag=tag, suffix=suffix, output=output, overwrite=overwrite, skip_existing=skip_existing)
    process(photos, recursive, naming, weights, device, as_json, work, engine)


def _only_video(photos: list[str], engine: str, choices: list[tuple[str, "Request"]], for_photos: bool) -> Path:
    """The one video among what was named. for_photos: options were given that it cannot take. Raises UsageError."""
    video = next(name for name in photos if name.lower().endswith(VIDEO_SUFFIXES))
    if len(photos) > 1:
        raise UsageError(f"{video} is a video: edit it by itself")
    if engine == "ray":
        raise UsageError("a video is edited on one machine: leave out --engine ray")
    if for_photos or len(choices) > 1 or choices[0][0] == "all":
        raise UsageError("in a video one face is edited: leave out --crop, --json, --skip-existing and --face all")
    return Path(video)


def _edit_video(
    path: Path,
    output: Path | None,
    overwrite: bool,
    metadata: bool,
    face: str,
    request: "Request",
    weights: str,
    device: str,
) -> None:
    from faceedit.editing.video import edited_frames, follow
    from faceedit.media.video import SUFFIXES, edit_video, open_video

    if output is None or output.is_dir():
        output = (output or path.parent) / f"{path.stem}-edited.mp4"
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a video is written as .mp4 or .mov, not as {output.suffix or 'a file without ending'}")
    refuse_existing(output, overwrite)
    video = open_video(path)
    if video.alpha and output.suffix.lower() != ".mov":
        say("the video is transparent in parts, which MP4 cannot hold: name a .mov file with -o to keep that")
    from faceedit.editing.editor import FaceEditor
    from faceedit.media.provenance import COMPOSITE, declaration

    editor = FaceEditor.from_pretrained(weights, device)
    with progress_bar("frames") as progress:
        track = follow(editor, video, face, progress.track(video, video.frames, description="finding the face"))
        source = track.mean_source
        way = f"{source} on average → {request.target(source)}"
        say(f"{path}: {way}")

        def edit(frames: Iterator["np.ndarray"]) -> Iterator["np.ndarray"]:
            shown = progress.track(frames, len(track.strength), description="editing")
            return edited_frames(editor, shown, track, request)

        xmp = declaration(COMPOSITE, editor.weights, f"one face: {way}")
        edit_video(video, output, edit, xmp, metadata, overwrite)
    print(output)
