"""Commands that edit photos, and read back what edited files say."""

import ctypes
import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TextIO, TypedDict

import typer

from faceedit import __version__
from faceedit.cli.app import (
    Device,
    FaceChoice,
    Overwrite,
    Photos,
    Recursive,
    Weights,
    app,
    printable,
    progress_bar,
    refuse_existing,
    say,
    say_error,
)
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.errors import BatchError, FaceEditError, UnreadableError, UsageError, unexpected
from faceedit.files import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from faceedit.batch import Job
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditedFace, EditResult
    from faceedit.editing.request import Request
    from faceedit.media.image import Photo

    Work = Callable[[FaceEditor, Photo], EditResult]
    Apart = Callable[[FaceEditor, Photo], tuple[Photo, "Facts"]]
    Run = Callable[[list[Job], Apart, str, str], Iterator[tuple[Job, "Facts | FaceEditError"]]]

STANDARD = "-"

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="A file, a folder, or - for standard output; by default beside the photo."),
]
SkipExisting = Annotated[bool, typer.Option("--skip-existing", help="Leave photos whose output is there.")]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="ray: share the photos out over a Ray cluster; needs `faceedit[ray]`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object a photo, a line each.")]


class Facts(NamedTuple):
    """What was done with a photo: its faces, and what a person should hear of it."""

    faces: "tuple[EditedFace, ...]"
    notes: tuple[str, ...]


class Naming(TypedDict):
    """What names results: options of `batch.plan`."""

    tag: str
    suffix: str | None
    output: Path | None
    overwrite: bool
    skip_existing: bool


@app.command()
def edit(
    photos: Photos,
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
    if videos := [name for name in photos if name.lower().endswith(VIDEO_SUFFIXES)]:
        if len(photos) > 1:
            raise UsageError(f"{videos[0]} is a video: edit it by itself")
        if engine == "ray":
            raise UsageError("a video is edited on one machine: leave out --engine ray")
        if crop or as_json or skip_existing or len(parsed) > 1 or parsed[0][0] == "all":
            raise UsageError("in a video one face is edited: leave out --crop, --json, --skip-existing and --face all")
        with failing_as(f"{videos[0]} could not be edited"):
            _edit_video(Path(videos[0]), output, overwrite, not no_source_metadata, *parsed[0], weights, device)
        return

    def work(editor: "FaceEditor", photo: "Photo") -> "EditResult":
        from faceedit.editing.photo import edit_photo

        return edit_photo(editor, photo, parsed, crop, not no_source_metadata)

    suffix = ".png" if crop else None
    naming: Naming = {
        "tag": "crop" if crop else "edited",
        "suffix": suffix,
        "output": output,
        "overwrite": overwrite,
        "skip_existing": skip_existing,
    }
    process(photos, recursive, naming, weights, device, as_json, work, engine)


@app.command()
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

        return draw_grid(editor, photo, choose_face(editor, photo.pixels, face), axis, layout)

    naming: Naming = {
        "tag": "grid",
        "suffix": ".png",
        "output": output,
        "overwrite": overwrite,
        "skip_existing": skip_existing,
    }
    process(photos, recursive, naming, weights, device, as_json, work)


@app.command()
def animate(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A JPEG, PNG, WebP, TIFF, BMP or AVIF file.")],
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
    from faceedit.editing.paths import parse_path, path_targets
    from faceedit.media.animation import check_output, write_animation

    if not 0 < seconds <= 600:
        raise UsageError(f"seconds must lie above 0 and up to 600, not {seconds:g}")
    targets = path_targets(parse_path(path), round(seconds * fps), loop)
    if output is None or output.is_dir():
        output = (output or photo.parent) / f"{photo.stem}-animated.webp"
    check_output(output, fps)
    refuse_existing(output, overwrite)
    if face == "all":
        raise UsageError("an animation moves one face: name it with --face")
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import animate as animate_photo
    from faceedit.editing.photo import choose_face
    from faceedit.media.image import read_photo

    with failing_as(f"{photo} could not be animated"):
        source = read_photo(photo)
        editor = FaceEditor.from_pretrained(weights, device)
        chosen = choose_face(editor, source.pixels, face)
        say(f"{chosen}, {len(targets)} frames")
        frames, like = animate_photo(editor, source, chosen, targets, path, crop)
        with progress_bar("frames") as progress:
            shown = progress.track(frames, len(targets), description="animating")
            write_animation(output, shown, fps, loop, like, overwrite)
    print(output)


@app.command()
def info(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A picture that faceedit wrote.")] = None,
) -> None:
    """Read back what an edited file says of itself; without a file, tell versions, devices and weights."""
    if file is not None:
        from faceedit.media.image import read_photo
        from faceedit.media.provenance import from_xmp, read_embedded

        if not file.is_file():  # a pipe would make us wait for ever
            raise UnreadableError(f"there is no file {file}")
        found = from_xmp(read_embedded(file) or read_photo(file).xmp)
        if found is None:
            print(f"{file} does not say that faceedit made or edited it")
            return
        for name, value in vars(found).items():
            print(f"{name.replace('_', ' ')}: {printable(value)}")
        return
    from importlib.metadata import version

    from faceedit.hub import published

    print(f"faceedit {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "facenet-pytorch", "opencv-python", "pillow")))
    print(f"devices: {', '.join(_devices(version('torch')))}")
    for path, digest in published():
        print(f"weights {path.stem}: {path}, SHA-256 {digest}")


def _devices(build: str) -> list[str]:
    """The devices that a build of torch can use here, the fastest first. torch itself would take seconds to import."""
    if sys.platform == "darwin":
        return ["mps", "cpu"] if platform.machine() == "arm64" else ["cpu"]
    try:
        driver, count = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"), ctypes.c_int()
        driver.cuInit(0)
        driver.cuDeviceGetCount(ctypes.byref(count))
    except OSError:
        return ["cpu"]
    return ["cuda", "cpu"] if count.value > 0 and "+cpu" not in build else ["cpu"]


@contextmanager
def failing_as(subject: str) -> Iterator[None]:
    """Turn exceptions that are none of ours into an error that names what failed."""
    try:
        yield
    except FaceEditError:
        raise
    except Exception as error:
        raise unexpected(subject, error) from error


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
    from faceedit.media.video import open_video, write_video

    if output is None or output.is_dir():
        output = (output or path.parent) / f"{path.stem}-edited.mp4"
    if output.suffix.lower() != ".mp4":
        raise UsageError(f"a video is written as .mp4, not as {output.suffix or 'a file without ending'}")
    refuse_existing(output, overwrite)
    video = open_video(path)
    from faceedit.circumplex import Affect
    from faceedit.editing.editor import FaceEditor
    from faceedit.media.provenance import COMPOSITE, declaration

    editor = FaceEditor.from_pretrained(weights, device)
    with progress_bar("frames") as progress:
        track = follow(editor, video, face, progress.track(video, video.frames, description="finding the face"))
        source = Affect(*track.source.mean(0).tolist())
        way = f"{source} on average → {request.target(source)}"
        say(f"{path}: {way}")
        frames = progress.track(
            edited_frames(editor, video, track, request), len(track.strength), description="editing"
        )
        xmp = declaration(COMPOSITE, editor.weights, f"one face: {way}")
        if not write_video(output, frames, video.fps, xmp, path, metadata, overwrite):
            say("there is no ffmpeg on the PATH: the sound is left out")
    print(output)


def process(
    photos: list[str],
    recursive: bool,
    naming: Naming,
    weights: str,
    device: str,
    as_json: bool,
    work: "Work",
    engine: str = "local",
) -> None:
    """Take photos through `work`, write the results and print what became of each."""
    from faceedit import batch

    if STANDARD in photos or naming["output"] == Path(STANDARD):
        if engine == "ray":
            raise UsageError("- stands for one photo on this machine: leave out --engine ray")
        _process_standard(photos, naming, weights, device, as_json, work)
        return
    run = _run_on_cluster() if engine == "ray" else _run_here
    found = batch.find_photos(photos, recursive)
    jobs = batch.plan(found, **naming)
    for job in jobs:
        if job.done:
            tell(job, None, as_json)
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return
    outcomes = run(waiting, partial(_apart, work), weights, device)
    results, failed = sys.stdout, []
    # Ray prints what befalls its workers, on standard output, at any time.
    with redirect_stdout(sys.stderr), progress_bar("photos", disable=len(waiting) == 1) as progress:
        task = progress.add_task("editing", total=len(waiting))
        for job, outcome in outcomes:
            if isinstance(outcome, FaceEditError):
                if len(jobs) == 1:
                    raise outcome
                failed.append(job.photo)
            tell(job, None if job.done else outcome, as_json, results)
            progress.advance(task)
    if failed:
        raise BatchError(f"{len(failed)} of {len(jobs)} photos failed: {', '.join(map(str, failed))}")


def _apart(work: "Work", editor: "FaceEditor", photo: "Photo") -> tuple["Photo", Facts]:
    """What is written of a result, and what is printed, which must not keep the pixels."""
    result = work(editor, photo)
    return result.photo, Facts(result.faces, result.notes)


def _run_here(
    jobs: list["Job"], work: "Apart", weights: str, device: str
) -> Iterator[tuple["Job", Facts | FaceEditError]]:
    from faceedit import batch
    from faceedit.editing.editor import FaceEditor

    return batch.run(jobs, partial(work, FaceEditor.from_pretrained(weights, device)))


def _run_on_cluster() -> "Run":
    try:
        from faceedit.cluster import run
    except ImportError as error:
        if error.name not in ("ray", "pyarrow", "pandas"):
            raise
        raise UsageError("editing on a cluster needs Ray: install faceedit[ray]") from error
    return run


def _process_standard(
    photos: list[str], naming: Naming, weights: str, device: str, as_json: bool, work: "Work"
) -> None:
    """One photo from standard input or to standard output, as bytes."""
    from faceedit.media.image import WRITE_FORMATS, encode_photo, format_of, read_photo, write_photo

    output = None if naming["output"] == Path(STANDARD) else naming["output"]
    if len(photos) != 1:
        raise UsageError("- stands for one photo: leave out the others")
    if as_json:
        raise UsageError("--json and - would both write to standard output: leave out one")
    if output is not None:
        format_of(output)
        refuse_existing(output, naming["overwrite"])
    if (output is None and sys.stdout is None) or (photos[0] == STANDARD and sys.stdin is None):
        raise UsageError("- stands for a standard stream that is closed")
    source = read_photo(sys.stdin.buffer.read() if photos[0] == STANDARD else Path(photos[0]))
    from faceedit.editing.editor import FaceEditor

    result = work(FaceEditor.from_pretrained(weights, device), source)
    for line in (*result.notes, *result.faces):
        say(str(line))
    if output is not None:
        write_photo(output, result.photo, naming["overwrite"])
        print(output)
    else:
        data = encode_photo(result.photo, WRITE_FORMATS.get(naming["suffix"] or "", source.format))
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise UnreadableError(f"standard output: {error.strerror or error}") from error


def tell(job: "Job", outcome: "Facts | FaceEditError | None", as_json: bool, results: TextIO | None = None) -> None:
    """Print what became of a photo: its output or a JSON object to results (stdout), the rest for a person.

    outcome: None where it was skipped, as its output is there.
    """
    shown: dict[str, object]
    if outcome is None:
        shown = {"skipped": "its output is there"}
        say(f"{job.photo}: {shown['skipped']}")
    elif isinstance(outcome, FaceEditError):
        shown = {"error": str(outcome)}
        say_error(outcome)
    else:
        shown = {"faces": [face_json(face) for face in outcome.faces]}
        for line in (*outcome.notes, *outcome.faces):
            say(str(line))
    if as_json:
        print(json.dumps({"input": str(job.photo), "output": str(job.output), **shown}), file=results)
    elif "faces" in shown:
        print(job.output, file=results)


def face_json(face: "EditedFace") -> dict[str, object]:
    """What was done with one face, for programs."""
    shown: dict[str, object] = {"number": face.number, "box": [round(value, 1) for value in face.box]}
    affects = {"source": face.source, "target": face.target}
    if face.beyond_support:
        affects["nearest learnt"] = face.nearest_supported
    for name, affect in affects.items():
        if affect is not None:
            shown[name] = {axis: round(value, 4) for axis, value in vars(affect).items()}
    return shown
