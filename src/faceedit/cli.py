"""The command line: each command parses, calls one library function and prints. Nothing else prints or exits.

Results go to stdout, everything for a person to watch to stderr. Heavy imports happen inside the commands.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from faceedit import __version__
from faceedit.config import DEFAULT_WEIGHTS, CaaeConfig, TrainConfig
from faceedit.errors import FaceEditError, MemoryExhaustedError, UsageError

TRAIN_DEFAULTS = TrainConfig()

app = typer.Typer(
    help="Change the expression of a face in a photo to a chosen valence (unpleasant to pleasant) and arousal "
    "(calm to excited).",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False)

Photo = Annotated[Path, typer.Argument(metavar="PHOTO", help="A JPEG, PNG, WebP, TIFF, BMP or AVIF file.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="File or folder to write to; by default beside the photo.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where the networks run.")]
Weights = Annotated[str, typer.Option(help="Published weights by name, or the path of a .safetensors file.")]
FaceChoice = Annotated[
    str, typer.Option("--face", metavar="largest|all|N", help="Which face; N counts from 1, the largest.")
]


def main() -> None:
    """Run the command line; errors meant for a user become one line on stderr and their exit code."""
    try:
        app(prog_name="faceedit")
    except FaceEditError as error:
        _fail(error)
    except MemoryError:
        _fail(MemoryExhaustedError("there is not enough memory for this"))


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        print(f"faceedit {__version__}")
        raise typer.Exit


@app.command()
def edit(
    photo: Photo,
    valence: Annotated[float, typer.Option(help="Target valence, -1 (unpleasant) to 1 (pleasant).")],
    arousal: Annotated[float, typer.Option(help="Target arousal, -1 (calm) to 1 (excited).")],
    output: Output = None,
    face: FaceChoice = "largest",
    crop: Annotated[
        bool, typer.Option("--crop", help="Write the networks' own aligned drawing of the face instead.")
    ] = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Give a face in a photo another expression, at the photo's full size."""
    from faceedit.circumplex import Affect

    target = Affect(valence, arousal)
    path = _output_path(photo, "crop.png" if crop else f"edited{photo.suffix}", output, overwrite)
    if crop and face == "all":
        raise UsageError("--crop draws one face: name it with --face")
    from faceedit.editor import FaceEditor, select_faces
    from faceedit.image import Photo, format_of, read_photo, write_photo

    format_of(path)
    source = read_photo(photo)
    editor = FaceEditor.from_pretrained(weights, device)
    faces = select_faces(editor.detect(source.pixels), face)
    if not editor.support.covers(valence, arousal):
        _say(f"{target} lies where there are few or no training labels: the edit is an extrapolation")
    pixels = source.pixels
    for chosen in faces:
        encoded = editor.encode(pixels, chosen)
        _say(f"face at {_box(chosen.box)}: {encoded.source} → {target}")
        pixels = editor.edit_crop(encoded, target) if crop else editor.edit_face(pixels, encoded, target)
    write_photo(path, Photo(pixels) if crop else source.with_pixels(pixels))
    print(path)


@app.command()
def grid(
    photo: Photo,
    output: Output = None,
    steps: Annotated[int, typer.Option(help="Cells along each axis.")] = 7,
    extent: Annotated[float, typer.Option(help="The largest valence and arousal of the grid, above 0 to 1.")] = 0.75,
    layout: Annotated[
        Literal["circumplex", "paper"],
        typer.Option(help="circumplex: valence left to right, arousal bottom to top; paper: the sheet of Lindt et al."),
    ] = "circumplex",
    face: FaceChoice = "largest",
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Draw a face at every valence and arousal of a grid over the circumplex."""
    from faceedit.circumplex import grid_axis

    axis = grid_axis(steps, extent)
    path = _output_path(photo, "grid.png", output, overwrite)
    if face == "all":
        raise UsageError("a grid shows one face: name it with --face")
    from faceedit.editor import FaceEditor, select_faces
    from faceedit.image import Photo, format_of, read_photo, write_photo

    format_of(path)
    pixels = read_photo(photo).pixels
    editor = FaceEditor.from_pretrained(weights, device)
    chosen = select_faces(editor.detect(pixels), face)[0]
    encoded = editor.encode(pixels, chosen)
    _say(f"face at {_box(chosen.box)}: {encoded.source}")
    if layout == "paper":
        sheet = editor.draw_paper_sheet(encoded, axis)
    else:
        sheet = editor.draw_grid(pixels, encoded, axis)
    write_photo(path, Photo(sheet))
    print(path)


@app.command()
def prepare(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder of photos with their labels.")],
    out: Annotated[Path, typer.Option(help="The folder for the crops.")] = Path("data"),
    size: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 128,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one for each core.")] = None,
) -> None:
    """Cut aligned face crops, for training, out of labelled photos.

    Labels are read from labels.csv (file, valence, arousal, optionally expression, split and further columns), from
    AffectNet's annotation CSV, or from file names as {id}s{expression}s{1000·valence}s{1000·arousal}.jpg. Run again
    after an interruption, it goes on where it was.
    """
    import os

    from faceedit.train.prepare import prepare as run_prepare

    with _progress("photos") as progress:
        task = progress.add_task("preparing", total=None)
        shown = run_prepare(
            source,
            out,
            size,
            workers or os.cpu_count() or 1,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    for title, files in (("no face found in", shown.no_face), ("could not be read:", shown.unreadable)):
        if files:
            _say(f"{title} {len(files)} photos:")
            for file in files:
                _say(f"  {file}")
    _say(f"{shown.train} training and {shown.validation} validation crops")
    print(out)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="A folder that `faceedit prepare` made.")] = Path("data"),
    run: Annotated[Path, typer.Option(help="The folder for the training state, sheets and TensorBoard files.")] = Path(
        "runs/caae"
    ),
    epochs: Annotated[int, typer.Option(min=1)] = TRAIN_DEFAULTS.epochs,
    minutes: Annotated[float | None, typer.Option(help="Train for this time instead of for --epochs.")] = None,
    batch: Annotated[int, typer.Option(min=2)] = TRAIN_DEFAULTS.batch,
    learning_rate: Annotated[float, typer.Option()] = TRAIN_DEFAULTS.learning_rate,
    image_size: Annotated[
        int, typer.Option(help="Side of the networks' images, a multiple of 16.")
    ] = CaaeConfig().image_size,
    perceptual: Annotated[
        str,
        typer.Option(
            help="What the perceptual loss compares activations of: facenet (facenet-pytorch's InceptionResnetV1, "
            "downloaded on first use), the path of vgg-face.mat (as the paper) or of MobileFaceNet weights, or off."
        ),
    ] = TRAIN_DEFAULTS.perceptual,
    seed: Annotated[int, typer.Option()] = TRAIN_DEFAULTS.seed,
    save_minutes: Annotated[float, typer.Option(help="Save at least this often.")] = TRAIN_DEFAULTS.save_minutes,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the state in --run.")] = False,
    device: Device = "auto",
) -> None:
    """Train the paper's CAAE on prepared crops. Ctrl-C saves; --resume goes on."""
    if image_size % 16 or not 16 <= image_size <= 512:
        raise UsageError(f"image size must be a multiple of 16 from 16 to 512, not {image_size}")
    from faceedit.device import resolve_device
    from faceedit.train.loop import train as run_train

    training = TrainConfig(
        epochs=epochs,
        minutes=minutes,
        batch=batch,
        learning_rate=learning_rate,
        perceptual=perceptual,
        seed=seed,
        save_minutes=save_minutes,
    )
    network = CaaeConfig(image_size=image_size)
    with _progress("steps") as progress:
        task = progress.add_task("training", total=None)

        def show(report) -> None:
            losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
            line = f"epoch {report.epoch + 1}  {report.images_per_second:.0f} images/s  {losses}"
            total = report.steps or round(report.step * (1 + report.seconds_left / max(report.seconds, 1e-9)))
            progress.update(task, completed=report.step, total=total, description=line)
            if not console.is_terminal:  # a log file gets lines instead of a bar
                _say(f"step {report.step}  {line}")

        run_train(data, run, training, network, resolve_device(device), resume, show)
    print(run)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Turn a training run into weights that the editor loads."""
    if output.suffix != ".safetensors":
        raise UsageError(f"{output} must end in .safetensors")
    _refuse_existing(output, overwrite)
    from faceedit.train.checkpoint import export_weights

    export_weights(run, output)
    print(output)


def _output_path(photo: Path, ending: str, output: Path | None, overwrite: bool) -> Path:
    """Where to write: `output` itself, or a name made from the photo's in the folder `output` or beside the photo."""
    if output is not None and not output.is_dir():
        _refuse_existing(output, overwrite)
        return output
    folder = output or photo.parent
    stem, suffix = ending.split(".", 1) if "." in ending else (ending, "")
    number = 1
    while True:
        count = "" if number == 1 else f"-{number}"
        path = folder / f"{photo.stem}-{stem}{count}.{suffix}"
        if overwrite or not path.exists():
            return path
        number += 1


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another name, or give --overwrite")


def _box(box) -> str:
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    return f"({x0}, {y0})-({x1}, {y1})"


def _progress(unit: str):
    """A progress display with a rate and the time left, on stderr."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task):
            return Text(f"{task.speed:.1f} {unit}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _say(line: str) -> None:
    """One line for a person to read, on stderr."""
    console.print(line, markup=False, soft_wrap=True)


def _fail(error: FaceEditError) -> None:
    _say(f"faceedit: {' '.join(str(error).split())}")
    sys.exit(error.exit_code)
