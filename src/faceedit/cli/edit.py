"""The command that edits photos, or one face through each of some videos."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from faceedit.cli.app import (
    FACES,
    MACHINE,
    OUTPUT,
    STANDARD,
    TARGET,
    AsJson,
    Device,
    Only,
    Overwrite,
    Recursive,
    Weights,
    command,
    refuse_existing,
    spinner,
)
from faceedit.cli.completion import emotion_names
from faceedit.cli.photos import Naming, Output, SkipExisting, process, read_input
from faceedit.cli.stimuli import edit_table
from faceedit.cli.video import edit_videos
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditResult
    from faceedit.editing.target import Request
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
OptionalPhotos = Annotated[
    list[str] | None,
    typer.Argument(metavar="PHOTO", help="Files, folders, patterns with * and ?, or - for standard input."),
]
Like = Annotated[
    Path | None,
    typer.Option(
        metavar="PHOTO",
        help="The expression of the largest face of another photo: its affect, and how far mouth and eyes are open.",
        rich_help_panel=TARGET,
    ),
]
Targets = Annotated[
    Path | None,
    typer.Option(
        metavar="TABLE",
        help="A CSV instead of photos, a result a row: file, and any of valence, arousal, emotion, intensity, "
        "strength, face, only, output. Results and results.csv go to the folder of -o; run again, it goes on.",
        rich_help_panel=TARGET,
    ),
]
Embedder = Annotated[
    str,
    typer.Option(
        help="What measures identity for results.csv: facenet, the path of MobileFaceNet weights, or off.",
        rich_help_panel=OUTPUT,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side in pixels of a crop that is cut from the photo and edited, instead of drawn.", rich_help_panel=OUTPUT
    ),
]
MaskOutput = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write where pixels changed, white on black; for one photo.", rich_help_panel=OUTPUT
    ),
]
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
    "faceedit edit photo.jpg --like other.jpg --only mouth",
    "faceedit edit faces/ --neutralise -o out/ --skip-existing",
    "faceedit edit --targets targets.csv -o stimuli/",
)
def edit(
    photos: OptionalPhotos = None,
    valence: Valence = None,
    arousal: Arousal = None,
    emotion: Emotion = None,
    intensity: Intensity = None,
    neutralise: Neutralise = False,
    like: Like = None,
    relative: Relative = False,
    strength: Strength = 1.0,
    targets: Targets = None,
    face: FaceChoices = None,
    only: Only = None,
    recursive: Recursive = False,
    output: Output = None,
    crop: Crop = False,
    size: Size = None,
    mask_output: MaskOutput = None,
    embedder: Embedder = "off",
    no_source_metadata: NoSourceMetadata = False,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    engine: Engine = "local",
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Give faces in photos another expression, at the photos' full size; or one face through a video."""
    if targets is not None:
        _refuse_beside_targets(locals())
        edit_table(targets, output, embedder, overwrite, weights, device, as_json)
        return
    if not photos:
        raise UsageError("name a photo, a folder or a pattern, or a table with --targets")
    if embedder != "off":
        raise UsageError("--embedder measures for the results.csv of --targets: leave it out")
    if size is not None and not crop:
        raise UsageError("--size is that of a crop: give --crop, or leave it out")
    if str(like) == STANDARD and STANDARD in photos:
        raise UsageError("- stands for one photo: name a file for --like")
    if neutralise and emotion is not None:
        raise UsageError("--neutralise and --emotion name two targets: give one")
    emotion = "neutral" if neutralise else emotion
    from faceedit.batch import find_videos

    parsed = _parsed(face, valence, arousal, emotion, intensity, relative, strength, tuple(only or ()), like, device)
    tag, suffix = ("crop", ".png") if crop else ("edited", None)
    naming = Naming(tag=tag, suffix=suffix, output=output, overwrite=overwrite, skip_existing=skip_existing)
    if videos := find_videos(photos, recursive):
        if engine == "ray":
            raise UsageError("a video is edited on one machine: leave out --engine ray")
        if crop or as_json or mask_output or len(parsed) > 1 or parsed[0][0] == "all":
            raise UsageError("in a video one face is edited: leave out --crop, --json, --mask-output and --face all")
        edit_videos(videos, naming, not no_source_metadata, *parsed[0], weights, device)
        return
    if mask_output is not None:
        _check_mask(mask_output, photos, recursive, crop, overwrite)
    work = partial(_edit_one, parsed, crop, not no_source_metadata, size, mask_output, overwrite)
    process(photos, recursive, naming, weights, device, as_json, work, engine)


def _edit_one(
    parsed: "list[tuple[str, Request]]",
    crop: bool,
    metadata: bool,
    size: int | None,
    mask_output: Path | None,
    overwrite: bool,
    editor: "FaceEditor",
    photo: "Photo",
) -> "EditResult":
    """One photo edited; the mask of its changed pixels is written, if asked for."""
    from faceedit.editing.photo import changed_pixels, edit_photo
    from faceedit.media.image import write_photo

    result = edit_photo(editor, photo, parsed, crop, metadata, size)
    if mask_output is not None:
        write_photo(mask_output, changed_pixels(photo, result.photo), overwrite)
    return result


def _parsed(
    face: list[str] | None,
    valence: float | None,
    arousal: float | None,
    emotion: str | None,
    intensity: float | None,
    relative: bool,
    strength: float,
    only: tuple[str, ...],
    like: Path | None,
    device: str,
) -> "list[tuple[str, Request]]":
    """The faces that are chosen, and where each shall go. Raises UsageError for what makes others meaningless."""
    from faceedit.editing.selection import LARGEST, parse_choices
    from faceedit.editing.target import Request

    choices, request = face or [LARGEST], None
    named = ["=" in choice for choice in choices]
    if all(named):
        if relative or {valence, arousal, emotion, like} != {None}:
            raise UsageError("each --face names its own emotion: leave out other targets, and --relative")
    elif relative or not any(named) or {valence, arousal, emotion, like} != {None}:
        shared = intensity if emotion is not None or not any(named) else None
        look = None
        if like is not None:
            with spinner(f"looking at {like.name}"):
                from faceedit.device import resolve_device
                from faceedit.editing.like import look_of

                look = look_of(read_input(like), resolve_device(device))
        request = Request(valence, arousal, emotion, shared, relative, strength, only, look)
    return parse_choices(choices, request, intensity, strength, only)


def _check_mask(mask: Path, photos: list[str], recursive: bool, crop: bool, overwrite: bool) -> None:
    from faceedit.batch import find_photos
    from faceedit.media.image import format_of

    if crop or len(find_photos(photos, recursive)) > 1:
        raise UsageError("--mask-output is for one whole photo")
    refuse_existing(mask, overwrite, format_of)


def _refuse_beside_targets(given: dict[str, object]) -> None:
    """Raise UsageError for what a table of targets says itself, or what its results have no use for."""
    allowed = {"targets", "output", "embedder", "overwrite", "weights", "device", "as_json"}
    defaults = {"strength": 1.0, "engine": "local"}
    for name, value in given.items():
        if name not in allowed and value not in (None, [], defaults.get(name, False)):
            option = name if name == "photos" else f"--{name.replace('_', '-')}"
            raise UsageError(f"a table of targets says this itself, or has no use for it: leave out {option}")
