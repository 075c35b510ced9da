"""Commands that edit photos, and read back what edited files say."""

import ctypes
import json
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TextIO, TypedDict

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
    box_text,
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
    from faceedit.circumplex import Affect
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.request import Request
    from faceedit.faces.detector import Face
    from faceedit.media.image import Photo

    Work = Callable[[FaceEditor, Photo], tuple[Photo, "Outcome"]]
    Run = Callable[[list[Job], Work, str, str], Iterator[tuple[Job, "Outcome | FaceEditError"]]]

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


FaceFacts = TypedDict(
    "FaceFacts",
    {
        "number": int,
        "box": list[float],
        "source": dict[str, float],
        "target": NotRequired[dict[str, float]],
        "nearest learnt": NotRequired[dict[str, float]],  # where the target lies beyond
    },
)


class Outcome(TypedDict, total=False):
    """What became of a photo, for programs: one of these."""

    faces: list[FaceFacts]
    skipped: str
    error: str


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
    from faceedit.editing.request import LARGEST, Request, choose_faces, is_largest, parse_choices

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
    largest = all(is_largest(which) for which, _ in parsed)
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

    def work(editor: "FaceEditor", source: "Photo") -> tuple["Photo", Outcome]:
        from faceedit.media.image import Photo
        from faceedit.media.provenance import COMPOSITE, DRAWN, declared

        faces = editor.detect(source.pixels, largest)
        chosen = choose_faces(faces, parsed)
        if crop and len(chosen) > 1:
            raise UsageError(f"--crop draws one face, not {len(chosen)}: name it with --face")
        pixels, facts = source.pixels, []
        for found, wanted in chosen:
            encoded = editor.encode(pixels, found)
            target = wanted.target(encoded.source)
            pixels = editor.edit_crop(encoded, target) if crop else editor.edit_face(pixels, encoded, target)
            facts.append(_face_facts(faces.index(found), found, encoded.source, target, editor.support.nearest(target)))
        result = Photo(pixels, icc=source.colour_profile) if crop else source.with_pixels(pixels)
        if no_source_metadata:
            result = result.without_metadata()
        kind = DRAWN if crop else COMPOSITE
        return declared(result, kind, editor.weights, "; ".join(map(_face_line, facts)), say), {"faces": facts}

    suffix = ".png" if crop else None
    naming: Naming = {
        "tag": "crop" if crop else "edited",
        "suffix": suffix,
        "output": output,
        "overwrite": overwrite,
        "skip_existing": skip_existing,
    }
    _process(photos, recursive, naming, weights, device, as_json, work, engine)


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

    def work(editor: "FaceEditor", source: "Photo") -> tuple["Photo", Outcome]:
        from faceedit.editing.request import is_largest, select_faces
        from faceedit.media.image import Photo
        from faceedit.media.provenance import DRAWN, declared

        faces = editor.detect(source.pixels, is_largest(face))
        (found,) = select_faces(faces, face)
        encoded = editor.encode(source.pixels, found)
        if layout == "paper":
            sheet = editor.draw_paper_sheet(encoded, axis)
        else:
            sheet = editor.draw_grid(source.pixels, encoded, axis)
        what = f"{steps}x{steps} valence and arousal from {-extent:g} to {extent:g}, from {encoded.source}"
        facts: Outcome = {"faces": [_face_facts(faces.index(found), found, encoded.source)]}
        return declared(Photo(sheet, icc=source.colour_profile), DRAWN, editor.weights, what), facts

    naming: Naming = {
        "tag": "grid",
        "suffix": ".png",
        "output": output,
        "overwrite": overwrite,
        "skip_existing": skip_existing,
    }
    _process(photos, recursive, naming, weights, device, as_json, work)


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
    from faceedit.editing.request import is_largest, select_faces
    from faceedit.media.image import read_photo
    from faceedit.media.provenance import COMPOSITE, DRAWN, declared

    with failing_as(f"{photo} could not be animated"):
        source = read_photo(photo)
        editor = FaceEditor.from_pretrained(weights, device)
        found = select_faces(editor.detect(source.pixels, is_largest(face)), face)[0]
        encoded = editor.encode(source.pixels, found)
        say(f"face at {box_text(found.box)}: {encoded.source}, {len(targets)} frames")
        edits = editor.crop_edits if crop else editor.edits
        like = declared(source.without_metadata(), DRAWN if crop else COMPOSITE, editor.weights, f"path {path}")
        with progress_bar("frames") as progress:
            frames = progress.track(edits(source.pixels, encoded, targets), len(targets), description="animating")
            write_animation(output, frames, fps, loop, like, overwrite)
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


def _process(
    photos: list[str],
    recursive: bool,
    naming: Naming,
    weights: str,
    device: str,
    as_json: bool,
    work: "Work",
    engine: str = "local",
) -> None:
    """Take photos through work(editor, photo) → (result, facts), and tell of each."""
    from faceedit import batch

    def told(editor: "FaceEditor", photo: "Photo") -> tuple["Photo", Outcome]:
        if photo.animated:
            say("the file holds several pictures: the first is taken")
        return work(editor, photo)

    if STANDARD in photos or naming["output"] == Path(STANDARD):
        if engine == "ray":
            raise UsageError("- stands for one photo on this machine: leave out --engine ray")
        _process_standard(photos, naming, weights, device, as_json, told)
        return
    run = _run_on_cluster() if engine == "ray" else _run_here
    found = batch.find_photos(photos, recursive)
    jobs = batch.plan(found, **naming)
    for job in jobs:
        if job.done:
            _tell(job, {"skipped": "its output is there"}, as_json)
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return
    outcomes = run(waiting, told, weights, device)
    results, failed = sys.stdout, []
    # Ray prints what befalls its workers, on standard output, at any time.
    with redirect_stdout(sys.stderr), progress_bar("photos", disable=len(waiting) == 1) as progress:
        task = progress.add_task("editing", total=len(waiting))
        for job, outcome in outcomes:
            if isinstance(outcome, FaceEditError):
                if len(jobs) == 1:
                    raise outcome
                failed.append(job.photo)
            _tell(job, {"skipped": "its output is there"} if job.done else outcome, as_json, results)
            progress.advance(task)
    if failed:
        raise BatchError(f"{len(failed)} of {len(jobs)} photos failed: {', '.join(map(str, failed))}")


def _run_here(
    jobs: list["Job"], work: "Work", weights: str, device: str
) -> Iterator[tuple["Job", Outcome | FaceEditError]]:
    from faceedit import batch
    from faceedit.editing.editor import FaceEditor

    editor = FaceEditor.from_pretrained(weights, device)
    return batch.run(jobs, lambda photo: work(editor, photo))


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

    result, facts = work(FaceEditor.from_pretrained(weights, device), source)
    for line in map(_face_line, facts["faces"]):
        say(line)
    if output is not None:
        write_photo(output, result, naming["overwrite"])
        print(output)
    else:
        data = encode_photo(result, WRITE_FORMATS.get(naming["suffix"] or "", source.format))
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise UnreadableError(f"standard output: {error.strerror or error}") from error


def _tell(job: "Job", outcome: Outcome | FaceEditError, as_json: bool, results: TextIO | None = None) -> None:
    """What became of a photo: its output or a JSON object to results (stdout), the rest for a person."""
    if isinstance(outcome, FaceEditError):
        say_error(outcome)
        outcome = {"error": str(outcome)}
    elif "skipped" in outcome:
        say(f"{job.photo}: {outcome['skipped']}")
    else:
        for line in map(_face_line, outcome["faces"]):
            say(line)
    if as_json:
        print(json.dumps({"input": str(job.photo), "output": str(job.output), **outcome}), file=results)
    elif "faces" in outcome:
        print(job.output, file=results)


def _face_facts(
    index: int, face: "Face", source: "Affect", target: "Affect | None" = None, nearest: "Affect | None" = None
) -> FaceFacts:
    """What was done with one face, for programs."""

    def rounded(affect: "Affect") -> dict[str, float]:
        return {name: round(value, 4) for name, value in vars(affect).items()}

    facts: FaceFacts = {
        "number": index + 1,
        "box": [round(float(value), 1) for value in face.box],
        "source": rounded(source),
    }
    if target is not None:
        facts["target"] = rounded(target)
        if nearest is not None and nearest != target:
            facts["nearest learnt"] = rounded(nearest)
    return facts


def _face_line(facts: FaceFacts) -> str:
    """The same, for a person."""
    from faceedit.circumplex import Affect

    line = f"face {facts['number']} at {box_text(facts['box'])}: {Affect(**facts['source'])}"
    if "target" in facts:
        line += f" → {Affect(**facts['target'])}"
    if "nearest learnt" in facts:
        line += f", beyond what was learnt: going to the nearest, {Affect(**facts['nearest learnt'])}"
    return line
