"""Many photos: finding them, naming their outputs, and working on one while others are read and written."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from faceedit.errors import FaceEditError, UnreadableError, UsageError
from faceedit.image import WRITE_FORMATS, Photo, format_of, read_photo, write_photo

AHEAD = 2  # photos read before their turn, and written after it: what bounds memory


@dataclass(frozen=True)
class Found:
    """A photo, and its place below the folder that was named, which is its name alone where none was."""

    path: Path
    inner: Path


@dataclass(frozen=True)
class Job:
    """A photo, where its result goes, and whether that is there already and to be left."""

    photo: Path
    output: Path
    done: bool = False


def find_photos(names: list[str], recursive: bool = False) -> list[Found]:
    """The photos that names stand for: files as they are, the photos of a folder, the matches of a pattern with * or ?.

    recursive: also of the folders in a folder. Raises UnreadableError for a folder or pattern that holds none. A file
    that does not exist is left to its reader.
    """
    found = []
    for name in names:
        path = Path(name)
        matches = [Found(path, Path(path.name))]
        if path.is_dir():
            inside = path.rglob("*") if recursive else path.iterdir()
            photos = sorted(child for child in inside if child.suffix.lower() in WRITE_FORMATS and child.is_file())
            matches = [Found(child, child.relative_to(path)) for child in photos]
        elif not path.exists() and any(mark in name for mark in "*?["):
            matches = [Found(Path(match), Path(Path(match).name)) for match in sorted(glob(name, recursive=True))]
        if not matches:
            raise UnreadableError(f"{name} holds no photos")
        found += matches
    return list({photo.path: photo for photo in found}.values())


def plan(
    photos: list[Found],
    tag: str,
    suffix: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> list[Job]:
    """Where the result of each photo goes.

    Beside the photo, or below the folder `output` in the photo's place, under its name with `-tag` and its own suffix
    or the one given; one photo's result may also be a file `output`. A name that is taken is numbered, unless
    `overwrite`; with `skip_existing` the job is done where the file is there. Where results go beside the photos, those
    of an earlier run are no photos of this one. Raises UsageError, UnreadableError.
    """
    single = len(photos) == 1
    if output is None and not single:
        photos = _without_outputs(photos, tag)
    if output is not None and not output.is_dir() and (output.suffix or not single):
        if not single and (output.suffix or output.exists()):
            raise UsageError(f"{output} is one file for {len(photos)} photos: name a folder")
        if single:
            return [_single(photos[0], output, overwrite, skip_existing)]
    jobs, taken = [], set()
    for photo in photos:
        folder = photo.path.parent if output is None else output / photo.inner.parent
        jobs.append(_numbered(photo.path, folder, tag, suffix, overwrite, skip_existing, taken))
        taken.add(jobs[-1].output)
    for folder in {job.output.parent for job in jobs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnreadableError(f"cannot make the folder {folder}: {error.strerror}") from error
    return jobs


def run(jobs: list[Job], work: Callable[[Photo], tuple[Photo, dict]]) -> Iterator[tuple[Job, dict | FaceEditError]]:
    """Read each photo, work on it, and write what `work` returns, each job yielded when it is done.

    work: gives the result and facts about it. Yields the facts, or the error that ended the job; further jobs go on.
    Reading and writing happen beside the work, a few photos ahead and behind.
    """
    waiting = iter(jobs)
    with ThreadPoolExecutor(2) as pool:
        reads: deque[tuple[Job, Future]] = deque()
        writes: deque[tuple[Job, dict, Future]] = deque()

        def read_ahead() -> None:
            for job in waiting:
                reads.append((job, pool.submit(read_photo, job.photo)))
                if len(reads) >= AHEAD:
                    break

        read_ahead()
        while reads:
            job, reading = reads.popleft()
            try:
                photo = reading.result()
                read_ahead()
                result, facts = work(photo)
            except FaceEditError as error:
                read_ahead()
                yield job, error
                continue
            writes.append((job, facts, pool.submit(write_photo, job.output, result)))
            if len(writes) > AHEAD:
                yield _written(*writes.popleft())
        while writes:
            yield _written(*writes.popleft())


def _without_outputs(photos: list[Found], tag: str) -> list[Found]:
    stems = {photo.path.with_suffix("") for photo in photos}
    made = re.compile(rf"(.+)-{re.escape(tag)}(-\d+)?")

    def is_output(path: Path) -> bool:
        match = made.fullmatch(path.stem)
        return match is not None and path.with_name(match[1]) in stems

    return [photo for photo in photos if not is_output(photo.path)]


def _written(job: Job, facts: dict, writing: Future) -> tuple[Job, dict | FaceEditError]:
    try:
        writing.result()
    except FaceEditError as error:
        return job, error
    return job, facts


def _single(photo: Found, output: Path, overwrite: bool, skip_existing: bool) -> Job:
    format_of(output)
    if output.exists() and not (overwrite or skip_existing):
        raise UsageError(f"{output} exists: choose another name, or give --overwrite")
    return Job(photo.path, output, done=output.exists() and skip_existing)


def _numbered(path, folder, tag, suffix, overwrite, skip_existing, taken) -> Job:
    number = 1
    while True:
        count = "" if number == 1 else f"-{number}"
        output = folder / f"{path.stem}-{tag}{count}{path.suffix if suffix is None else suffix}"
        format_of(output)
        if output not in taken:
            if skip_existing and output.exists():
                return Job(path, output, done=True)
            if overwrite or not output.exists():
                return Job(path, output)
        number += 1
