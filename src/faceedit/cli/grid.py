"""The command that draws a face over the whole plane."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from faceedit.cli.app import AsJson, Device, FaceChoice, Overwrite, Photos, Recursive, Weights, command
from faceedit.cli.photos import Naming, Output, SkipExisting, process
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditResult
    from faceedit.media.image import Photo


@command(
    "Photos",
    "faceedit grid photo.jpg",
    "faceedit grid portraits/ --steps 5 --extent 0.6 -o grids/",
)
def grid(
    photos: Photos,
    output: Output = None,
    steps: Annotated[int, typer.Option(help="Cells along each axis.")] = 7,
    extent: Annotated[float, typer.Option(help="The largest valence and arousal of the grid, above 0 to 1.")] = 0.75,
    layout: Annotated[
        Literal["circumplex", "paper"],
        typer.Option(help="circumplex: valence left to right, arousal bottom to top; paper: the sheet of Lindt et al."),
    ] = "circumplex",
    face: FaceChoice = "largest",
    recursive: Recursive = False,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Draw a face at every valence and arousal of a grid over the circumplex."""
    from faceedit.circumplex import grid_axis

    axis = grid_axis(steps, extent)
    if face == "all":
        raise UsageError("a grid shows one face: name it with --face")

    def work(editor: "FaceEditor", photo: "Photo") -> "EditResult":
        from faceedit.editing.photo import choose_face, draw_grid

        photo = photo.drawable()
        return draw_grid(editor, photo, choose_face(editor, photo.pixels, face), axis, layout)

    naming = Naming(tag="grid", suffix=".png", output=output, overwrite=overwrite, skip_existing=skip_existing)
    process(photos, recursive, naming, weights, device, as_json, work)
