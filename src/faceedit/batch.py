"""Many photos: finding them, naming their outputs, and working on some at a time."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import Literal, TypeVar

from faceedit.errors import ExistsError, FaceEditError, UnreadableError, UnwritableError, UsageError, unexpected
from faceedit.files import VIDEO_SUFFIXES, remove_leftovers
from faceedit.media.image import WRITE_FORMATS, Photo, encode_photo, format_of, read_photo, write_photo
from faceedit.pool import MAX_AT_A_TIME, in_turn

TAGS = ("edited", "crop", "grid", "animated")  # what results are named with
RESULT_NAME = re.compile(rf"(.+)-({'|'.join(TAGS)})(-\d+)?")
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Found:
    """A photo, and its place below the folder that was named, which is its name alone where none was."""

    path: Path
    inner: Path
    named: bool = True  # by itself, and not found in a folder


@dataclass(frozen=True)
class Job:
    """A photo, where its result goes, and whether that is there already and to be left.

    number: of the output among those of its name. if_taken: what to do where a file comes to lie there meanwhile.
    """

    photo: Path
    output: Path
    done: bool = False
    number: int = field(default=1, compare=False)
    if_taken: Literal["number", "fail", "skip", "replace"] = field(default="number", compare=False)


def find_photos(names: list[str], recursive: bool = False) -> list[Found]:
    """The photos that names stand for: files as they are, the photos of a folder, the matches of a pattern with * or ?.

    recursive: also of the folders in a folder. Raises UnreadableError for a folder or pattern that holds none. A file
    that does not exist is left to its reader.
    """
    found = []
    for name in names:
        matches = _inside(name, recursive, tuple(WRITE_FORMATS))
        if matches == []:
            raise UnreadableError(f"{name} holds no photos")
        found += [Found(Path(name), Path(Path(name).name))] if matches is None else matches
    return list({photo.path: photo for photo in found}.values())


def find_videos(names: list[str], recursive: bool = False) -> list[Found]:
    """The videos that names stand for, where they stand for no photos: files, or all of what folders or patterns hold.

    An empty list where they stand for photos, too; then the videos of folders are passed over. Raises UsageError where
    videos and photos are both named.
    """
    found, photos = [], False
    for name in names:
        matches = _inside(name, recursive, VIDEO_SUFFIXES)
        if matches is None and name.lower().endswith(VIDEO_SUFFIXES):
            matches = [Found(Path(name), Path(Path(name).name))]
        photos = photos or not matches or bool(_inside(name, recursive, tuple(WRITE_FORMATS)))
        found += matches or []
    if photos and any(video.named for video in found):
        raise UsageError("videos and photos are edited by separate commands")
    return [] if photos else list({video.path: video for video in found}.values())


def _inside(name: str, recursive: bool, suffixes: tuple[str, ...]) -> list[Found] | None:
    """The files with such endings that a folder holds or a pattern matches; None for the name of a file."""
    path = Path(name)
    if path.is_dir():
        children = path.rglob("*") if recursive else path.iterdir()
        files = sorted(child for child in children if child.suffix.lower() in suffixes and child.is_file())
        return [Found(child, child.relative_to(path), named=False) for child in files]
    if path.exists() or not any(mark in name for mark in "*?["):
        return None
    matches = [Path(match) for match in sorted(glob(name, recursive=True))]
    return [Found(match, Path(match.name), False) for match in matches if match.suffix.lower() in suffixes]


def plan(
    photos: list[Found],
    tag: str,
    suffix: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    check: Callable[[Path], object] = format_of,
) -> list[Job]:
    """Where the result of each photo goes.

    Beside the photo, or below the folder `output` in the photo's place, under its name with `-tag` and its own suffix
    or the one given; one photo's result may also be a file `output`. A name that is taken is numbered, unless
    `overwrite`; with `skip_existing` the job is done where the file is there. Results of an earlier run that a folder
    holds are no photos of this one. check: raises UsageError for an output whose ending says no format. Raises
    UsageError, UnwritableError.
    """
    single = len(photos) == 1
    photos = _without_outputs(photos, output)
    if output is not None and not output.is_dir() and (output.suffix or not single):
        if not single and (output.suffix or output.exists()):
            raise UsageError(f"{output} is one file for {len(photos)} photos: name a folder")
        if single:
            check(output)
            return [_single(photos[0], output, overwrite, skip_existing)]
    jobs: list[Job] = []
    taken: set[Path] = set()
    for photo in photos:
        folder = photo.path.parent if output is None else output / photo.inner.parent
        jobs.append(_numbered(photo.path, folder, tag, suffix, overwrite, skip_existing, taken))
        taken.add(jobs[-1].output)
    for folder in {job.output.parent for job in jobs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableError(f"cannot make the folder {folder}: {error.strerror}") from error
    return jobs


def run(
    jobs: list[Job], work: Callable[[Photo], tuple[Photo, Facts]], again: bool = False
) -> Iterator[tuple[Job, Facts | FaceEditError]]:
    """Read each photo, work on it, and write what `work` returns, each job yielded in turn when it is done.

    work: gives the result and facts about it. again: a run that was killed may have written some of the results.
    Yields each job, its output where it was written in the end, with the facts or the error that ended it; further
    jobs go on. What killed processes left in the folders of the outputs is removed.
    """

    def finish(job: Job) -> tuple[Job, Facts]:
        result, facts = work(read_photo(job.photo))
        return _written(job, result, again), facts

    remove_leftovers(job.output.parent for job in jobs)
    for job, done in in_turn(finish, jobs, max(min(MAX_AT_A_TIME, len(jobs)), 1)):
        outcome = _outcome(job, done)
        del done  # and with its error the photo
        yield outcome


def _written(job: Job, result: Photo, again: bool) -> Job:
    """The job, its output under the first free name from its own on, or done where another run made it meanwhile."""
    while True:
        try:
            write_photo(job.output, result, job.if_taken == "replace")
            return job
        except ExistsError:
            if again and job.output.read_bytes() == encode_photo(result, format_of(job.output)):
                return job
            if job.if_taken == "skip":
                return replace(job, done=True)
            if job.if_taken != "number":
                raise
            stem = job.output.stem.removesuffix("" if job.number == 1 else f"-{job.number}")
            output = job.output.with_name(f"{stem}-{job.number + 1}{job.output.suffix}")
            job = replace(job, output=output, number=job.number + 1)


def _outcome(job: Job, done: Future[tuple[Job, Facts]]) -> tuple[Job, Facts | FaceEditError]:
    try:
        return done.result()
    except FaceEditError as error:
        return job, error
    except Exception as error:  # whatever a library raises for one photo must not end the others
        return job, unexpected(f"{job.photo} could not be edited", error)


def _without_outputs(photos: list[Found], output: Path | None) -> list[Found]:
    """All but those found in a folder that lie below the output folder, or beside the photo that they were made of."""
    stems = {photo.path.with_suffix("") for photo in photos}

    def is_output(photo: Found) -> bool:
        if photo.named:
            return False
        if output is not None and photo.path.resolve().is_relative_to(output.resolve()):
            return True
        match = RESULT_NAME.fullmatch(photo.path.stem)
        return match is not None and photo.path.with_name(match[1]) in stems

    return [photo for photo in photos if not is_output(photo)]


def _single(photo: Found, output: Path, overwrite: bool, skip_existing: bool) -> Job:
    if output.exists() and not (overwrite or skip_existing):
        raise ExistsError(output)
    if_taken: Literal["replace", "skip", "fail"] = "replace" if overwrite else "skip" if skip_existing else "fail"
    return Job(photo.path, output, output.exists() and skip_existing, if_taken=if_taken)


def _numbered(
    path: Path, folder: Path, tag: str, suffix: str | None, overwrite: bool, skip_existing: bool, taken: set[Path]
) -> Job:
    number = 1
    if_taken: Literal["replace", "skip", "number"] = "replace" if overwrite else "skip" if skip_existing else "number"
    if suffix is None:  # what cannot be written under its own ending is written as PNG, if it can be read at all
        suffix = path.suffix if path.suffix.lower() in WRITE_FORMATS else ".png"
    while True:
        count = "" if number == 1 else f"-{number}"
        output = folder / f"{path.stem}-{tag}{count}{suffix}"
        if output not in taken:
            if skip_existing and output.exists():
                return Job(path, output, done=True)
            if overwrite or not output.exists():
                return Job(path, output, number=number, if_taken=if_taken)
        number += 1
