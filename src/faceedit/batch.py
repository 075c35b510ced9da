"""Many photos: finding them, naming their outputs, and working on some at a time."""

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from faceedit.errors import ExistsError, FaceEditError, UnreadableError, UsageError, failure, is_url
from faceedit.files import VIDEO_SUFFIXES, make_folder, remove_leftovers
from faceedit.media.image import WRITE_FORMATS, Photo, encode_photo, format_of, read_photo, write_photo
from faceedit.pool import MAX_AT_A_TIME, in_turn

logger = logging.getLogger(__name__)
MAX_NAME = 255  # bytes, of a file
MAC_NOTES = "._"  # how files begin in which a Mac keeps what it knows of others
TAGS = ("edited", "crop", "grid", "animated")  # what results are named with
RESULT_NAME = re.compile(rf"(.+)-({'|'.join(TAGS)})(-\d+)?", re.DOTALL)
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Found:
    """A photo, and its path below the folder that was given; its name alone, where no folder was."""

    path: Path
    inner: Path
    named: bool = True  # by itself, and not found in a folder


@dataclass(frozen=True)
class Job:
    """A photo, and the file that its result goes to.

    done: the result is there already, and the photo is skipped. number: of the output among those of its name.
    if_taken: what to do where another process writes such a file meanwhile.
    """

    photo: Path
    output: Path
    done: bool = False
    number: int = field(default=1, compare=False)
    if_taken: Literal["number", "fail", "skip", "replace"] = field(default="number", compare=False)


def find_photos(names: list[str], recursive: bool = False) -> list[Found]:
    """The photos that names stand for: a file, the photos of a folder, or the matches of a pattern with * or ?.

    recursive: also search the folders in a folder; a link to a folder is not followed. Other files there are counted in
    a warning that is logged. Raises UnreadableError for a folder or pattern without photos, UsageError for a URL. A
    file that does not exist is returned too; whoever reads it raises the error.
    """
    found = []
    for name in names:
        if is_url(name):
            raise UsageError(f"{name} is a URL: download the photo and name the file")
        matches = _inside(name, recursive, tuple(WRITE_FORMATS))
        if matches == []:
            raise UnreadableError(f"{name} holds no photos")
        if matches is not None:
            _log_others(name, _files(name, recursive) or [], {photo.path for photo in matches})
        found += [Found(Path(name), Path(Path(name).name))] if matches is None else matches
    return _once(found)


def find_videos(names: list[str], recursive: bool = False) -> list[Found]:
    """The videos that names stand for: files, or all those of folders and patterns that hold no photos.

    An empty list where names stand for photos too: then the videos in folders are skipped. Raises UsageError where
    a video and a photo are both named.
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
    return [] if photos else _once(found)


def _once(found: list[Found]) -> list[Found]:
    """Each file once, by whichever links it is reached."""
    return list({(os.path.realpath(file.path.parent), file.path.name): file for file in found}.values())


def _inside(name: str, recursive: bool, suffixes: tuple[str, ...]) -> list[Found] | None:
    """The files with such endings that a folder holds or a pattern matches; None for the name of a file."""
    files = _files(name, recursive)
    return files and [
        file
        for file in files
        if file.path.suffix.lower() in suffixes and not file.path.name.startswith(MAC_NOTES) and file.path.is_file()
    ]


def _files(name: str, recursive: bool) -> list[Found] | None:
    """The files in a folder, or those that match a pattern, sorted; None for the name of a file."""
    path = Path(name)
    if os.path.isdir(path):
        children = path.rglob("*") if recursive else path.iterdir()
        found = [Found(child, child.relative_to(path), named=False) for child in children if not os.path.isdir(child)]
    elif os.path.exists(path) or not any(mark in name for mark in "*?["):
        return None
    else:
        found = [Found(match, Path(match.name), named=False) for match in _matches(path) if not os.path.isdir(match)]
    return sorted(found, key=lambda file: file.path)


def _matches(pattern: Path) -> list[Path]:
    """The matches of a pattern. Folders that exist under a name with * or ? or [ are taken by that name."""
    base, rest = Path(pattern.anchor), list(pattern.parts[1 if pattern.anchor else 0 :])
    while rest and os.path.isdir(base / rest[0]):
        base /= rest.pop(0)
    parts = [part if part == "**" else part.replace("**", "*") for part in rest]
    found = list(base.glob("/".join(parts))) or list(base.glob("/".join(parts).replace("[", "[[]")))
    if not any(part.startswith(".") for part in parts):  # as a shell does
        found = [path for path in found if not any(part.startswith(".") for part in path.relative_to(base).parts)]
    return found


def _log_others(name: str, files: list[Found], photos: set[Path]) -> None:
    """Log how many files are no photos, by their endings. Hidden files do not count, except a Mac's notes of photos."""
    names = [file.path.name for file in files if file.path not in photos]
    kinds = Counter(
        Path(name).suffix.lower() or "without an ending"
        for name in names
        if not name.startswith(".") or name.startswith(MAC_NOTES)
    )
    if kinds:
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        verb = "file is" if kinds.total() == 1 else "files are"
        logger.warning("%s: %d %s skipped, no photos in a format that is read: %s", name, kinds.total(), verb, listed)


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
    if output is not None and is_url(str(output)):
        raise UsageError(f"{output} is a URL: name a file or folder to write")
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
        make_folder(folder)
    return jobs


def run(
    jobs: list[Job], work: Callable[[Photo], tuple[Photo, Facts]], again: bool = False
) -> Iterator[tuple[Job, Facts | FaceEditError]]:
    """Read each photo, work on it, and write the result. Yields each job when it is done, in order.

    work: returns the result and facts about it. again: a run that was killed may have written some of the results. Each
    job comes with the output that was written in the end, and with the facts, or with the error that ended it, while
    others continue. Temporary files of killed processes in the output folders are removed.
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
    """The job with the output that was written: the first free name, or `done` where another run wrote it meanwhile."""
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
            output = job.output.with_name(_named(stem, f"-{job.number + 1}{job.output.suffix}"))
            job = replace(job, output=output, number=job.number + 1)


def _outcome(job: Job, done: Future[tuple[Job, Facts]]) -> tuple[Job, Facts | FaceEditError]:
    try:
        return done.result()
    except Exception as error:  # whatever a library raises for one photo must not end the others
        return job, failure(f"{job.photo} could not be edited", error)


def _without_outputs(photos: list[Found], output: Path | None) -> list[Found]:
    """The photos without the results of earlier runs: those below the output folder or beside their photo."""
    stems = {photo.path.with_suffix("") for photo in photos}

    def is_output(photo: Found) -> bool:
        if photo.named:
            return False
        if output is not None and Path(os.path.realpath(photo.path)).is_relative_to(os.path.realpath(output)):
            return True
        match = RESULT_NAME.fullmatch(photo.path.stem)
        if match is None:
            return False
        if len(os.fsencode(photo.path.name)) > MAX_NAME - 4:  # its name may have been cut
            return any(stem.parent == photo.path.parent and stem.name.startswith(match[1]) for stem in stems)
        return photo.path.with_name(match[1]) in stems

    return [photo for photo in photos if not is_output(photo)]


def _single(photo: Found, output: Path, overwrite: bool, skip_existing: bool) -> Job:
    make_folder(output.parent)
    if output.exists() and not (overwrite or skip_existing):
        raise ExistsError(output)
    if_taken: Literal["replace", "skip", "fail"] = "replace" if overwrite else "skip" if skip_existing else "fail"
    return Job(photo.path, output, output.exists() and skip_existing, if_taken=if_taken)


def _named(stem: str, end: str) -> str:
    """A file's name, its stem cut where the whole would be longer than a name may be."""
    while len(os.fsencode(stem + end)) > MAX_NAME:
        stem = stem[:-1]
    return stem + end


def _numbered(
    path: Path, folder: Path, tag: str, suffix: str | None, overwrite: bool, skip_existing: bool, taken: set[Path]
) -> Job:
    number = 1
    if_taken: Literal["replace", "skip", "number"] = "replace" if overwrite else "skip" if skip_existing else "number"
    if suffix is None:  # what cannot be written under its own ending is written as PNG, if it can be read at all
        suffix = path.suffix if path.suffix.lower() in WRITE_FORMATS else ".png"
    while True:
        count = "" if number == 1 else f"-{number}"
        output = folder / _named(path.stem, f"-{tag}{count}{suffix}")
        if output not in taken:
            if skip_existing and output.exists():
                return Job(path, output, done=True)
            if overwrite or not output.exists():
                return Job(path, output, number=number, if_taken=if_taken)
        number += 1
