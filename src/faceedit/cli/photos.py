"""Photos of a command, from files, folders, patterns or standard input, on this machine or on a cluster."""

import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from faceedit.cli.app import OUTPUT, STANDARD, missing_extra, progress_bar, refuse_existing, spinner
from faceedit.cli.completion import photo_outputs
from faceedit.cli.report import Facts, tell, tell_outcome, tell_skipped
from faceedit.errors import BatchError, FaceEditError, UnwritableError, UsageError

if TYPE_CHECKING:
    from faceedit.batch import Job
    from faceedit.editing.editor import FaceEditor
    from faceedit.editing.photo import EditResult
    from faceedit.media.image import Photo

    Work = Callable[[FaceEditor, Photo], EditResult]
    Apart = Callable[[FaceEditor, Photo], tuple[Photo, Facts]]
    Run = Callable[[list[Job], Apart, str, str], Iterator[tuple[Job, Facts | FaceEditError]]]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="A file, a folder, or - for standard output; by default beside the photo.",
        autocompletion=photo_outputs,
        rich_help_panel=OUTPUT,
    ),
]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Skip photos whose output is there.", rich_help_panel=OUTPUT)
]


def read_input(name: str | Path) -> "Photo":
    """The photo in a file, or from standard input for -. Raises UnreadableError, UsageError."""
    from faceedit.media.image import read_photo

    return read_photo(read_bytes() if str(name) == STANDARD else Path(name))


def read_bytes() -> bytes:
    """What standard input holds. Raises UsageError where it is closed."""
    if sys.stdin is None:
        raise UsageError("- stands for a standard stream that is closed")
    return sys.stdin.buffer.read()


class Naming(TypedDict):
    """What names results: options of `batch.plan`."""

    tag: str
    suffix: str | None
    output: Path | None
    overwrite: bool
    skip_existing: bool


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

    if naming["overwrite"] and naming["skip_existing"]:
        raise UsageError("--overwrite and --skip-existing contradict each other: leave out one")
    if STANDARD in photos or naming["output"] == Path(STANDARD):
        if engine == "ray":
            raise UsageError("- stands for one photo on this machine: leave out --engine ray")
        _process_standard(photos, naming, weights, device, as_json, work)
        return
    run = _run_on_cluster() if engine == "ray" else _run_here
    found = batch.find_photos(photos, recursive)
    jobs = batch.plan(found, **naming)
    tell_skipped(jobs, as_json)
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return
    outcomes = run(waiting, partial(_apart, work), weights, device)
    results, failed = sys.stdout, []
    # Ray prints what befalls its workers, on standard output, at any time.
    with redirect_stdout(sys.stderr), progress_bar("photos", disable=len(waiting) == 1) as progress:
        task = progress.add_task("editing", total=len(waiting))
        if len(waiting) == 1:
            with spinner("editing"):
                outcomes = iter(list(outcomes))
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

    yield from batch.run(jobs, partial(work, FaceEditor.from_pretrained(weights, device)))


def _run_on_cluster() -> "Run":
    try:
        from faceedit.cluster import run
    except ImportError as error:
        if error.name not in ("ray", "pyarrow", "pandas"):
            raise
        raise missing_extra("editing on a cluster needs Ray", "ray") from error
    return run


def _process_standard(
    photos: list[str], naming: Naming, weights: str, device: str, as_json: bool, work: "Work"
) -> None:
    """One photo from standard input or to standard output, as bytes."""
    from faceedit.batch import Job
    from faceedit.media.image import WRITE_FORMATS, encode_photo, format_of, write_photo

    output = None if naming["output"] == Path(STANDARD) else naming["output"]
    if len(photos) != 1:
        raise UsageError("- stands for one photo: leave out the others")
    if as_json and output is None:
        raise UsageError("--json and the photo would both go to standard output: name a file with -o")
    if output is None and (naming["overwrite"] or naming["skip_existing"]):
        raise UsageError("standard output holds no file to replace or skip: leave out --overwrite and --skip-existing")
    if output is not None:
        job = Job(Path(STANDARD), output, naming["skip_existing"] and output.exists())
        tell_skipped([job], as_json)
        if job.done:
            return
        refuse_existing(output, naming["overwrite"], format_of)
    if output is None and sys.stdout is None:
        raise UsageError("- stands for a standard stream that is closed")
    source = read_input(photos[0])
    with spinner("editing"):
        from faceedit.editing.editor import FaceEditor

        result = work(FaceEditor.from_pretrained(weights, device), source)
    facts = Facts(result.faces, result.notes)
    if output is not None:
        write_photo(output, result.photo, naming["overwrite"])
        tell(job, facts, as_json)
    else:
        tell_outcome(Path(STANDARD), facts)
        data = encode_photo(result.photo, WRITE_FORMATS.get(naming["suffix"] or "", source.format))
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise UnwritableError(f"standard output: {error.strerror or error}") from error
