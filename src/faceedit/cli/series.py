"""The command that brings a face from one affect to another in equal steps."""

from pathlib import Path
from typing import Annotated

import typer

from faceedit.cli.app import (
    OUTPUT,
    STANDARD,
    TARGET,
    Device,
    FaceChoice,
    Only,
    Overwrite,
    Weights,
    command,
    failing_as,
    progress_bar,
    refuse_existing,
    say,
    spinner,
)
from faceedit.cli.completion import emotion_names
from faceedit.cli.photos import read_input
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError


@command(
    "Photos",
    "faceedit series photo.jpg --to angry --steps 11 --measure",
    "faceedit series photo.jpg --from=-0.4,0.5 --to=0.6,0.1",
)
def series(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo's file, or - for standard input.")],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="EMOTION|POINT",
            help="Where the series begins: an emotion, or valence and arousal as in 0.5,-0.3.",
            autocompletion=emotion_names,
            rich_help_panel=TARGET,
        ),
    ] = "neutral",
    end: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="EMOTION|POINT",
            help="Where it ends.",
            autocompletion=emotion_names,
            rich_help_panel=TARGET,
        ),
    ] = "happy",
    steps: Annotated[int, typer.Option(help="Files, 2 to 1000, both ends among them.", rich_help_panel=TARGET)] = 21,
    face: FaceChoice = "largest",
    only: Only = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder; by default beside the photo.", rich_help_panel=OUTPUT),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Add to series.csv what the judge sees.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Bring a face from one affect to another in equal steps, a file each, with a table of where each lies."""
    from faceedit.editing.parts import check_parts
    from faceedit.editing.paths import parse_point

    ends = parse_point(start), parse_point(end)
    check_parts(parts := tuple(only or ()))
    if output is None and str(photo) == STANDARD:
        raise UsageError("a photo from standard input has no name to write beside: name a folder with -o")
    folder = output or photo.parent / f"{photo.stem}-series"
    refuse_existing(folder, overwrite or folder.is_dir())
    with failing_as(f"{photo} could not be edited"):
        with spinner("finding the face"):
            from faceedit.editing.editor import FaceEditor
            from faceedit.editing.series import TABLE, write_series
            from faceedit.editing.series import series as edit_series

            source = read_input(photo)
            editor = FaceEditor.from_pretrained(weights, device)
            made = edit_series(editor, source, *ends, steps, face, parts, measure)
        written = write_series(made, steps, folder, "photo" if str(photo) == STANDARD else photo.name, overwrite)
        with progress_bar("files") as progress:
            for result in progress.track(written, steps, description="editing"):
                say(str(result.faces[0]))
    print(folder / TABLE)
