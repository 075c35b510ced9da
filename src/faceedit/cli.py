"""The command line: each command parses, calls one library function and prints. Nothing else prints or exits.

Results go to stdout, everything for a person to watch to stderr. Heavy imports happen inside the commands.
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from faceedit import __version__
from faceedit.config import DEFAULT_WEIGHTS, JUDGE_WEIGHTS, MODELS
from faceedit.errors import BatchError, FaceEditError, MemoryExhaustedError, NoFaceError, UsageError

SHOWN_EXPRESSIONS = 3

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
    valence: Annotated[float | None, typer.Option(help="Target valence, -1 (unpleasant) to 1 (pleasant).")] = None,
    arousal: Annotated[float | None, typer.Option(help="Target arousal, -1 (calm) to 1 (excited).")] = None,
    emotion: Annotated[
        str | None, typer.Option(help="A target by name, such as happy, sad, surprised, angry, calm or tired.")
    ] = None,
    intensity: Annotated[float, typer.Option(help="Of the emotion, 0 (neutral) to 1.")] = 1.0,
    neutralise: Annotated[bool, typer.Option("--neutralise", help="Take the expression away.")] = False,
    relative: Annotated[
        bool, typer.Option("--relative", help="Move by valence and arousal from where the face is, by up to 2.")
    ] = False,
    strength: Annotated[float, typer.Option(help="How much of the way to go, 0 to 2.")] = 1.0,
    output: Output = None,
    face: Annotated[
        list[str] | None,
        typer.Option(
            metavar="largest|all|N|N=EMOTION",
            help="Which face, N counting from 1, the largest; again for further faces.  [default: largest]",
        ),
    ] = None,
    crop: Annotated[
        bool, typer.Option("--crop", help="Write the networks' own aligned drawing of the face instead.")
    ] = False,
    no_source_metadata: Annotated[
        bool, typer.Option("--no-source-metadata", help="Leave out the photo's own EXIF (camera, place) and XMP.")
    ] = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Give a face in a photo another expression, at the photo's full size."""
    from faceedit.request import LARGEST, Request, choose_faces

    if neutralise:
        if emotion is not None:
            raise UsageError("--neutralise and --emotion name two targets: give one")
        emotion = "neutral"
    choices = face or [LARGEST]
    request = None
    if {valence, arousal, emotion} != {None} or not all("=" in choice for choice in choices):
        request = Request(valence, arousal, emotion, intensity, relative, strength)
    path = _output_path(photo, "crop.png" if crop else f"edited{photo.suffix}", output, overwrite)
    from faceedit.editor import FaceEditor
    from faceedit.image import Photo, format_of, read_photo, write_photo
    from faceedit.provenance import COMPOSITE, DRAWN

    format_of(path)
    source = read_photo(photo)
    editor = FaceEditor.from_pretrained(weights, device)
    chosen = choose_faces(editor.detect(source.pixels), choices, request)
    if crop and len(chosen) > 1:
        raise UsageError(f"--crop draws one face, not {len(chosen)}: name it with --face")
    pixels, done = source.pixels, []
    for found, wanted in chosen:
        encoded = editor.encode(pixels, found)
        target = wanted.target(encoded.source)
        nearest = editor.support.nearest(target)
        note = "" if nearest == target else f", beyond what was learnt: going to the nearest, {nearest}"
        done.append(f"face at {_box(found.box)}: {encoded.source} → {target}{note}")
        _say(done[-1])
        pixels = editor.edit_crop(encoded, target) if crop else editor.edit_face(pixels, encoded, target)
    result = Photo(pixels) if crop else source.with_pixels(pixels)
    if no_source_metadata:
        result = result.without_metadata()
    write_photo(path, _declared(result, DRAWN if crop else COMPOSITE, editor, "; ".join(done)))
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
    from faceedit.editor import FaceEditor
    from faceedit.image import Photo, format_of, read_photo, write_photo
    from faceedit.provenance import DRAWN
    from faceedit.request import select_faces

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
    what = f"{steps}x{steps} valence and arousal from {-extent:g} to {extent:g}, from {encoded.source}"
    write_photo(path, _declared(Photo(sheet), DRAWN, editor, what))
    print(path)


@app.command()
def animate(
    photo: Photo,
    path: Annotated[
        str, typer.Option(help="circle, emotions such as happy,surprised,neutral, or points such as '0,0 0.8,0.2'.")
    ] = "circle",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .webp, .gif or .mp4 file, or a new folder for PNG; by default WebP."),
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
    from faceedit.animate import parse_path, path_targets, write_animation

    targets = path_targets(parse_path(path), round(seconds * fps), loop)
    target_path = _output_path(photo, "animated.webp", output, overwrite)
    if face == "all":
        raise UsageError("an animation moves one face: name it with --face")
    from faceedit.editor import FaceEditor
    from faceedit.image import read_photo
    from faceedit.request import select_faces

    pixels = read_photo(photo).pixels
    editor = FaceEditor.from_pretrained(weights, device)
    chosen = select_faces(editor.detect(pixels), face)[0]
    encoded = editor.encode(pixels, chosen)
    _say(f"face at {_box(chosen.box)}: {encoded.source}, {len(targets)} frames")
    frames = editor.crop_edits(pixels, encoded, targets) if crop else editor.edits(pixels, encoded, targets)
    with _progress("frames") as progress:
        write_animation(target_path, progress.track(frames, len(targets), description="animating"), fps, loop)
    print(target_path)


@app.command()
def estimate(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO…", help="Files, folders, or patterns with * and ?.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a photo, a line each.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the photo, with its faces' boxes, beside the circumplex; for one photo.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    weights: Annotated[str, typer.Option(help="An estimator's published weights by name or path.")] = JUDGE_WEIGHTS,
) -> None:
    """Tell where the faces of photos lie on the circumplex.

    This describes how a face looks in a photo, not what the person feels.
    """
    from faceedit.image import find_photos, format_of, read_photo, write_photo

    paths = find_photos(photos)
    if plot is not None:
        if len(paths) > 1:
            raise UsageError(f"--plot draws one photo, not {len(paths)}")
        format_of(plot)
        _refuse_existing(plot, overwrite)
    from faceedit.estimate import AffectEstimator
    from faceedit.face import FaceDetector

    estimator = AffectEstimator.from_pretrained(weights, device)
    detector = FaceDetector("cuda" if estimator.device == "cuda" else "cpu")
    results, failed = [], []
    for path in paths:
        try:
            image = read_photo(path).pixels
        except FaceEditError as error:
            if len(paths) == 1:
                raise
            failed.append(path)
            _say(f"faceedit: {error}")
            if as_json:
                print(json.dumps({"photo": str(path), "error": str(error)}))
            continue
        estimates = estimator.estimate(image, detector.detect(image))
        if len(paths) == 1 and not estimates:
            raise NoFaceError(f"no face was found in {path}")
        if as_json:
            faces = [_as_json(number, estimate) for number, estimate in enumerate(estimates, 1)]
            print(json.dumps({"photo": str(path), "faces": faces}))
        results.append((path, estimates))
    if not as_json:
        _print_estimates(results)
    if plot is not None:
        from faceedit.image import Photo
        from faceedit.sheet import estimates_sheet

        points = [(e.face.box, e.affect.valence, e.affect.arousal) for e in estimates]
        write_photo(plot, Photo(estimates_sheet(image, points)))
    if failed:
        raise BatchError(f"{len(failed)} of {len(paths)} photos could not be read: {', '.join(map(str, failed))}")


@app.command()
def evaluate(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of photos with their labels.")],
    weights: Weights = DEFAULT_WEIGHTS,
    editor: Annotated[
        Literal["weights", "copy", "oracle-swap"],
        typer.Option(help="copy gives the photo back, oracle-swap another person with the asked affect: two controls."),
    ] = "weights",
    faces: Annotated[int, typer.Option(min=1, help="Photos, chosen by the seed.")] = 200,
    seed: Annotated[int, typer.Option()] = 0,
    embedder: Annotated[
        str, typer.Option(help="What measures identity: facenet, the path of MobileFaceNet weights, or off.")
    ] = "facenet",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A JSON file for the figures.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="A picture of the grids of the worst, the median and the best face.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Measure an editor: whether the asked affect arrives, and what happens to the person and the photo.

    Uses the validation photos where the labels name a split. The judge that estimates affect trained no editor.
    """
    for path in (output, sheet):
        if path is not None:
            _refuse_existing(path, overwrite)
    from faceedit import evaluate as library
    from faceedit.circumplex import affect_grid, grid_axis
    from faceedit.editor import FaceEditor
    from faceedit.files import write_atomically
    from faceedit.identity import FaceEmbedder
    from faceedit.image import Photo, format_of, write_photo

    if sheet is not None:
        format_of(sheet)
    chosen, pool, photos = library.choose_labels(source, faces, seed)
    subject = FaceEditor.from_pretrained(weights, device)
    judge, detector, support = subject.judge, subject.detector, subject.support
    if editor == "copy":
        subject = library.CopyEditor(judge)
    elif editor == "oracle-swap":
        subject = library.SwapEditor(judge, pool, photos, detector, seed)
    embed = None if embedder == "off" else FaceEmbedder(embedder, judge.device)
    with _progress("faces") as progress:
        task = progress.add_task("evaluating", total=len(chosen))

        def show(done: int, _total: int) -> None:
            progress.update(task, completed=done)

        figures, subjects = library.evaluate(chosen, photos, subject, judge, detector, embed, support, show)
    figures = {"editor": weights if editor == "weights" else editor, "seed": seed, **figures}
    _print_figures(figures)
    if output is not None:
        write_atomically(output, (json.dumps(figures, indent=1) + "\n").encode())
    if sheet is not None:
        targets = affect_grid(grid_axis())
        supported = [support.covers(*target) for target in targets.tolist()]
        write_photo(sheet, Photo(library.worst_median_best(subjects, targets, supported)))


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
    for what, files in (("without a face", shown.no_face), ("that could not be read", shown.unreadable)):
        if files:
            _say(f"photos {what}: {len(files)}")
            for file in files:
                _say(f"  {file}")
    _say(f"{shown.train} training and {shown.validation} validation crops")
    print(out)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="A folder that `faceedit prepare` made.")] = Path("data"),
    model: Annotated[
        Literal["editor", "caae", "judge", "guide"],
        typer.Option(help="caae: the paper's editor; judge, guide: affect estimators, for judging and for training."),
    ] = "caae",
    run: Annotated[
        Path | None, typer.Option(help="The folder for state, sheets and TensorBoard files; by default runs/MODEL.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Each shows all crops, rare ones repeatedly.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for this time instead of for --epochs.")] = None,
    batch: Annotated[int | None, typer.Option(min=2)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images that the networks see.")] = None,
    perceptual: Annotated[
        str | None,
        typer.Option(
            help="What the CAAE's perceptual loss compares activations of: facenet (facenet-pytorch's "
            "InceptionResnetV1, downloaded on first use), the path of vgg-face.mat (as the paper) or of "
            "MobileFaceNet weights, or off."
        ),
    ] = None,
    guide: Annotated[
        str | None, typer.Option(help="Weights of the estimator that teaches the editor, by name or path.")
    ] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    save_minutes: Annotated[float | None, typer.Option(help="Save at least this often.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the state in --run.")] = False,
    device: Device = "auto",
) -> None:
    """Train a model on prepared crops; options not given are the model's own. Ctrl-C saves; --resume goes on."""
    from dataclasses import fields, replace

    given = {
        "epochs": epochs,
        "minutes": minutes,
        "batch": batch,
        "learning_rate": learning_rate,
        "perceptual": perceptual,
        "guide": guide,
        "seed": seed,
        "save_minutes": save_minutes,
        "image_size": image_size,
    }
    given = {name: value for name, value in given.items() if value is not None}
    run = run or Path("runs") / model
    network, training = MODELS[model]
    if resume:
        from faceedit.train.checkpoint import load_configs

        network, training = load_configs(run)
        if fixed := given.keys() - {"epochs", "minutes", "save_minutes"}:
            raise UsageError(f"--resume goes on with the settings of the run: leave out --{_option(min(fixed))}")
    if image_size is not None:
        if image_size % 16 or not 16 <= image_size <= 512:
            raise UsageError(f"image size must be a multiple of 16 from 16 to 512, not {image_size}")
        network = replace(network, image_size=given.pop("image_size"))
    if foreign := given.keys() - {field.name for field in fields(training)}:
        raise UsageError(f"--{_option(min(foreign))} means nothing for --model {model}")
    training = replace(training, **given)
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from faceedit.device import resolve_device
    from faceedit.train.loop import train as run_train

    progress, losses = _progress("steps"), Text()
    task = progress.add_task("training", total=None)

    def show(report) -> None:
        head = f"epoch {report.epoch + 1}, {report.images_per_second:.0f} images/s"
        losses.plain = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        total = report.steps or round(report.step * (1 + report.seconds_left / max(report.seconds, 1e-9)))
        progress.update(task, completed=report.step, total=total, description=head)
        if not console.is_terminal:  # a log file gets lines instead of a bar
            _say(f"step {report.step}, {head}  {losses.plain}")

    with Live(Group(progress, losses), console=console) if console.is_terminal else nullcontext():
        try:
            run_train(data, run, training, network, resolve_device(device), resume, show)
        except KeyboardInterrupt:
            _say(f"interrupted; go on with --resume --run {run}")
            raise
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


@app.command()
def info(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A picture that faceedit wrote.")] = None,
) -> None:
    """Read back what an edited file says of itself; without a file, tell versions, devices and weights."""
    if file is not None:
        from faceedit.image import read_photo
        from faceedit.provenance import from_xmp

        found = from_xmp(read_photo(file).xmp)
        if found is None:
            print(f"{file} does not say that faceedit made or edited it")
            return
        for name, value in vars(found).items():
            print(f"{name.replace('_', ' ')}: {value}")
        return
    import platform
    from importlib.metadata import version

    from faceedit.device import available_devices
    from faceedit.weights import published

    print(f"faceedit {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "facenet-pytorch", "opencv-python", "pillow")))
    print(f"devices: {', '.join(available_devices())}")
    for path, digest in published():
        print(f"weights {path.stem}: {path}, SHA-256 {digest}")


def _declared(photo, source_type: str, editor, edits: str):
    """The photo with XMP that says what a trained model did in it."""
    from dataclasses import replace

    from faceedit.provenance import Provenance, to_xmp

    weights = editor.weights
    provenance = Provenance(source_type, weights.path.stem, weights.sha256, edits)
    return replace(photo, xmp=to_xmp(provenance, photo.xmp))


def _output_path(photo: Path, ending: str, output: Path | None, overwrite: bool) -> Path:
    """Where to write: `output` itself, or a name made from the photo's in the folder `output` or beside the photo."""
    if output is not None and not output.is_dir():
        _refuse_existing(output, overwrite)
        return output
    folder = output or photo.parent
    stem, suffix = os.path.splitext(ending)
    number = 1
    while True:
        count = "" if number == 1 else f"-{number}"
        path = folder / f"{photo.stem}-{stem}{count}{suffix}"
        if overwrite or not path.exists():
            return path
        number += 1


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists: choose another name, or give --overwrite")


def _as_json(number: int, estimate) -> dict:
    return {
        "number": number,
        "box": [round(float(value), 1) for value in estimate.face.box],
        "valence": round(estimate.affect.valence, 4),
        "arousal": round(estimate.affect.arousal, 4),
        "expressions": {name: round(value, 4) for name, value in estimate.probabilities.items()},
    }


def _print_estimates(results) -> None:
    from rich.table import Table

    table = Table("photo", "face", "box", "valence", "arousal", "looks")
    for path, estimates in results:
        for number, estimate in enumerate(estimates, 1):
            strongest = sorted(estimate.probabilities.items(), key=lambda item: -item[1])[:SHOWN_EXPRESSIONS]
            looks = ", ".join(f"{name} {value:.0%}" for name, value in strongest)
            affect = (f"{estimate.affect.valence:+.2f}", f"{estimate.affect.arousal:+.2f}")
            table.add_row(escape(str(path)), str(number), _box(estimate.face.box), *affect, looks)
        if not estimates:
            table.add_row(escape(str(path)), "-", "no face", "", "", "")
    Console().print(table)


def _print_figures(figures: dict) -> None:
    """One table of everything measured, intervals in brackets."""
    from rich.table import Table

    table = Table("measure", "value", "95 % interval", title=f"{figures['editor']}, {figures['faces']} faces")

    def add(name: str, value) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{name} {key}".strip(), inner)
        elif isinstance(value, list):
            table.add_row(name, f"{value[0]:.3f}", f"{value[1]:.3f} to {value[2]:.3f}")
        elif isinstance(value, float):
            table.add_row(name, f"{value:.3f}", "")
        else:
            table.add_row(name, str(value), "")

    add("", {key: value for key, value in figures.items() if key not in ("editor", "groups")})
    for column, group in figures["groups"].items():
        for measure, name in group["worst"].items():
            table.add_row(f"worst {column}, {measure}", f"{group['rows'][name][measure]:.3f}", name)
    Console().print(table)


def _option(name: str) -> str:
    return name.replace("_", "-")


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
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _say(line: str) -> None:
    """One line for a person to read, on stderr."""
    console.print(line, markup=False, soft_wrap=True)


def _fail(error: FaceEditError) -> None:
    _say(f"faceedit: {' '.join(str(error).split())}")
    sys.exit(error.exit_code)
