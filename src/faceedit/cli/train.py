"""Commands from labelled photos to published weights."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceedit.cli.app import Device, Overwrite, command, console, progress_bar, refuse_existing, say, say_error, spinner
from faceedit.errors import BatchError, UnreadableError, UsageError, is_url, missing
from faceedit.kinds import MODELS, RENAMED, on_device

if TYPE_CHECKING:
    from faceedit.config import NetworkConfig, TrainConfig
    from faceedit.training.records import Report


@command("Training", "faceedit prepare PHOTOS --out data")
def prepare(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder of photos with their labels.")],
    out: Annotated[Path, typer.Option(help="The folder for the crops.")] = Path("data"),
    size: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 128,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one for each core.")] = None,
) -> None:
    """Cut aligned face crops, for training, out of labelled photos.

    Labels are read from labels.csv (file, valence, arousal, optionally expression, split and further columns), from
    AffectNet's annotation CSV, or from file names as {id}s{expression}s{1000·valence}s{1000·arousal}.jpg. Run again
    after an interruption, it goes on where it was.
    """
    with spinner("loading the networks"):
        from faceedit.data.prepare import prepare as run_prepare

    with progress_bar("photos") as progress:
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
            say(f"photos {what}: {len(files)}")
            for file in files:
                say(f"  {file}")
    for error in shown.failed:
        say_error(error)
    say(f"{shown.train} training and {shown.validation} validation crops")
    print(out)
    if shown.failed:
        raise BatchError(f"{len(shown.failed)} photos failed")


Model = Annotated[
    str,
    typer.Option(
        metavar="|".join(MODELS),
        help="; ".join(f"{name}: {preset.about}" for name, preset in MODELS.items()) + ".",
        autocompletion=lambda: list(MODELS),
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Each shows all crops, rare ones repeatedly.")]
Minutes = Annotated[float | None, typer.Option(help="Train for this time instead of for --epochs.")]
Perceptual = Annotated[
    str | None,
    typer.Option(
        help="What the CAAE's perceptual loss compares activations of: facenet (facenet-pytorch's "
        "InceptionResnetV1, downloaded on first use), the path of vgg-face.mat (as the paper) or of "
        "MobileFaceNet weights, or off."
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        "--guide",  # its name before 0.1
        help="Weights of the estimator that teaches the editor; by default one is trained first.",
    ),
]


@command(
    "Training",
    "faceedit train --data data",
    "faceedit train --data data --resume",
)
def train(
    data: Annotated[Path, typer.Option(help="A folder that `faceedit prepare` made.")] = Path("data"),
    model: Model = "editor",
    run: Annotated[
        Path | None, typer.Option(help="The folder for state, sheets and TensorBoard files; by default runs/MODEL.")
    ] = None,
    epochs: Epochs = None,
    minutes: Minutes = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Crops in a step of one process.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam, at its highest.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images that the networks see.")] = None,
    perceptual: Perceptual = None,
    teacher: Teacher = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**31, help="Of all that is random.")] = None,
    save_minutes: Annotated[float | None, typer.Option(help="Save at least this often.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the state in --run.")] = False,
    device: Device = "auto",
) -> None:
    """Train a model on prepared crops; options not given are the model's own. Ctrl-C saves; --resume goes on."""
    speaks = os.environ.get("LOCAL_RANK", "0") == "0"  # of the processes that were launched on a host, one does
    console.quiet = not speaks
    given: dict[str, Any] = {  # each value of its field's type
        "epochs": epochs,
        "minutes": minutes,
        "batch": batch,
        "learning_rate": learning_rate,
        "perceptual": perceptual,
        "teacher": teacher,
        "seed": seed,
        "save_minutes": save_minutes,
        "image_size": image_size,
    }
    given = {name: value for name, value in given.items() if value is not None}
    model = RENAMED.get(model, model)
    run = run or Path("runs") / model
    with spinner("loading the networks"):
        network, training = _settings(model, run, resume, given)
        from faceedit.device import resolve_device
        from faceedit.training.loop import train as run_train

        chosen = resolve_device(device)
    if is_url(str(data)):
        raise missing(data, "folder")
    if not (data / "train").is_dir():
        raise UnreadableError(f"{data} holds no prepared crops: make them with `faceedit prepare PHOTOS --out {data}`")
    # A rate belongs to a batch: who chooses one of them has the other as it is everywhere.
    if not resume and not given.keys() & {"batch", "learning_rate"}:
        training = replace(training, **on_device(model, chosen))
    with _shown(chosen) as show:
        try:
            run_train(data, run, training, network, chosen, resume, show, say)
        except KeyboardInterrupt:
            _say_interrupted(run)
            raise
    if speaks:
        print(run)


def _settings(model: str, run: Path, resume: bool, given: dict[str, Any]) -> tuple["NetworkConfig", "TrainConfig"]:
    """The configurations of a model, or of the run to go on with, changed by the options given. Raises UsageError."""
    if model not in MODELS:
        raise UsageError(f"there is no model {model}: choose one of {', '.join(MODELS)}")
    network, training = MODELS[model].network, MODELS[model].training
    if resume:
        from faceedit.training.checkpoint import load_configs

        network, training = load_configs(run)
        if fixed := given.keys() - {"epochs", "minutes", "save_minutes"}:
            raise UsageError(f"--resume goes on with the settings of the run: leave out --{_hyphened(min(fixed))}")
    changes = dict(given)
    size = changes.pop("image_size", None)
    if size is not None:
        if size % 16 or not 16 <= size <= 512:
            raise UsageError(f"image size must be a multiple of 16 from 16 to 512, not {size}")
        network = replace(network, image_size=size)
    if foreign := changes.keys() - {field.name for field in fields(training)}:
        raise UsageError(f"--{_hyphened(min(foreign))} means nothing for --model {model}")
    if "epochs" in changes:
        changes.setdefault("minutes", None)  # of a run that was measured in minutes
    return network, replace(training, **changes)


@contextmanager
def _shown(device: str) -> Iterator[Callable[["Report"], None]]:
    """Give a function that shows how far training is: on a terminal a bar and the losses, in a log file lines; and
    first, how long it will take on the device."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    progress, losses = progress_bar("steps"), Text()
    task = progress.add_task("training", total=None)

    def show(report: "Report") -> None:
        head = f"epoch {report.epoch}, {report.images_per_second:.0f} images/s"
        losses.plain = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        total = report.steps or round(report.step * (1 + report.seconds_left / max(report.seconds, 1e-9)))
        if not report.step > progress.tasks[0].completed > 0:  # the first, or the first after a teacher's
            hours, minutes = divmod(max(round(report.seconds_left / 60), 1), 60)
            say(f"this takes about {f'{hours} h {minutes} min' if hours else f'{minutes} min'} on {device}")
        progress.update(task, completed=report.step, total=total, description=head)
        if not console.is_terminal:
            say(f"step {report.step}, {head}  {losses.plain}")

    live = Live(Group(progress, losses), console=console, redirect_stdout=False)
    with live if console.is_terminal else nullcontext():
        yield show


def _say_interrupted(run: Path) -> None:
    from faceedit.training.checkpoint import has_state
    from faceedit.training.loop import TEACHER_FOLDER

    if has_state(run):
        say(f"interrupted; go on with --resume --run {run}")
    elif has_state(run / TEACHER_FOLDER):
        say("interrupted while the teacher learnt; go on with the same command")
    else:
        say("interrupted, with nothing to keep yet")


@command("Training", "faceedit export runs/editor -o my-weights.safetensors")
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .safetensors file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Turn a training run into weights that the editor loads."""
    if output.suffix != ".safetensors":
        raise UsageError(f"{output} must end in .safetensors")
    refuse_existing(output, overwrite)
    with spinner("exporting"):
        from faceedit.training.checkpoint import export_weights

        export_weights(run, output, overwrite)
    print(output)


@command(
    "Training",
    "faceedit fetch",
    "faceedit fetch hub:owner/name@revision --sha256 0123…",
)
def fetch(
    reference: Annotated[
        str | None, typer.Argument(metavar="[HUB]", help="hub:owner/name@revision, or with :file.safetensors behind.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="The hash that the weights must have, hexadecimal.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also copy them to this file.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fetch weights from a hub into its cache; without a name, tell the published ones, which come with the program."""
    if reference is None:
        from faceedit.hub import published

        for path, digest in published():
            print(f"{path} SHA-256 {digest}")
        return
    if output is not None:
        refuse_existing(output, overwrite)
    from faceedit.files import write_atomically
    from faceedit.hub import fetch as fetch_from_hub

    with spinner("fetching"):
        path = fetch_from_hub(reference, sha256)
    if output is not None:
        write_atomically(output, path.read_bytes(), overwrite=overwrite)
        path = output
    print(path)


@command("Training", "faceedit push my.safetensors owner/name --card CARD.md")
def push(
    weights: Annotated[Path, typer.Argument(metavar="FILE", help="Exported weights, a .safetensors file.")],
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The hub repository.")],
    card: Annotated[Path, typer.Option(help="Their model card, a Markdown file.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Upload exported weights with their model card to a hub, with the token of `hf auth login`."""
    from faceedit.hub import push as push_to_hub

    with spinner("uploading"):
        where = push_to_hub(weights, repository, card, private)
    print(where)


def _hyphened(name: str) -> str:
    return name.replace("_", "-")
