"""The command that grows a labelled set with edits."""

from pathlib import Path
from typing import Annotated

import typer

from faceedit.cli.app import Device, Weights, command, progress_bar, refuse_existing, say, say_error
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import BatchError


@command("Training", "faceedit augment FACES --per-face 4 -o GROWN")
def augment(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of photos with labels, as prepare reads.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for all photos and labels.csv.")],
    per_face: Annotated[int, typer.Option(help="Edits of each photo that is for training, 1 to 100.")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of all that is random.")] = 0,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Grow a labelled set evenly over the plane with edits, for training estimators of affect.

    An edit is labelled with the affect that the judge sees in it. Photos for validation are copied alone. Run again, it
    goes on where it was.
    """
    refuse_existing(output, output.is_dir())
    from faceedit.data.augment import augment as grow
    from faceedit.editing.editor import FaceEditor

    editor = FaceEditor.from_pretrained(weights, device)
    count = failed = 0
    with progress_bar("photos") as progress:
        task = progress.add_task("editing", total=None)
        for count, total, error in grow(editor, source, output, per_face, seed):
            progress.update(task, completed=count, total=total)
            if error is not None:
                failed += 1
                say_error(error)
    say(f"{count - failed} photos and their edits")
    print(output)
    if failed:
        raise BatchError(f"{failed} of {count} photos could not be edited, and are left out")
