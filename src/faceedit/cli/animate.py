"""The command that lets a face go along a path."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from faceedit.cli.app import (
    OUTPUT,
    STANDARD,
    Device,
    FaceChoice,
    Overwrite,
    Weights,
    command,
    failing_as,
    progress_bar,
    refuse_existing,
    say,
    spinner,
)
from faceedit.cli.completion import animation_outputs
from faceedit.cli.photos import read_input
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError


@command(
    "Photos",
    "faceedit animate photo.jpg",
    "faceedit animate photo.jpg --path happy,sad -o photo.mp4",
)
def animate(
    photo: Annotated[
        Path,
        typer.Argument(metavar="PHOTO", help="A photo's file, or - for standard input."),
    ],
    path: Annotated[
        str, typer.Option(help="circle, emotions such as happy,surprised,neutral, or points such as '0,0 0.8,0.2'.")
    ] = "circle",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A .webp, .gif or .mp4 file, or a new folder for PNG; by default WebP.",
            autocompletion=animation_outputs,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length.")] = 4.0,
    fps: Annotated[float, typer.Option(min=1, max=60, help="Frames a second.")] = 20.0,
    loop: Annotated[bool, typer.Option(help="Lead the path back to its start and repeat.")] = True,
    crop: Annotated[bool, typer.Option("--crop", help="Show the face alone instead of the whole photo.")] = False,
    face: FaceChoice = "largest",
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Let a face go along a path over the circumplex."""
    from faceedit.editing.paths import timed_path
    from faceedit.media.animation import check_output

    timed = timed_path(path, seconds, fps, loop)
    if output is None and str(photo) == STANDARD:
        raise UsageError("a photo from standard input has no name to write beside: name a file with -o")
    if output is None or output.is_dir():
        output = (output or photo.parent) / f"{photo.stem}-animated.webp"
    check_output(output, fps)
    refuse_existing(output, overwrite)
    if face == "all":
        raise UsageError("an animation moves one face: name it with --face")
    with failing_as(f"{photo} could not be animated"):
        with spinner("finding the face"):
            from faceedit.editing.editor import FaceEditor
            from faceedit.editing.photo import animate as animate_photo
            from faceedit.editing.photo import choose_face

            source = read_input(photo).drawable()
            editor = FaceEditor.from_pretrained(weights, device)
            chosen = choose_face(editor, source.pixels, face)
        animation = animate_photo(editor, source, chosen, timed, crop)
        say(f"{animation.face}, {len(animation)} frames")
        with progress_bar("frames") as progress:
            shown = progress.track(animation.frames, len(animation), description="animating")
            replace(animation, frames=shown).save(output, overwrite)
    print(output)
