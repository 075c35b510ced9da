"""Photos and labels → aligned crops, ready for training."""

import contextlib
import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, parent_process
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from faceedit.data.labels import TRAIN, VALIDATION, Label, photos_folder, read_labels, with_split, write_labels
from faceedit.errors import (
    FaceEditError,
    MemoryExhaustedError,
    UnexpectedError,
    UnwritableError,
    UsageError,
    unexpected,
)
from faceedit.faces.alignment import alignment, crop_face
from faceedit.faces.detector import FaceDetector
from faceedit.files import make_folder, remove_leftovers, write_atomically
from faceedit.media.image import Photo, encode_photo, read_photo

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

SETTINGS_FILE = "prepare.json"
CHUNK = 32  # photos a worker takes at a time

Problem = str | FaceEditError | None

# In a worker only, which starts by setting them.
_detector: FaceDetector
_size: int
_stop: "Event"


@dataclass
class Prepared:
    """What became of the photos: how many crops there are in each split, and which photos gave none.

    failed: the errors of those that met what was not expected, each with its traceback as a note.
    """

    train: int = 0
    validation: int = 0
    no_face: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    failed: list[FaceEditError] = field(default_factory=list)


def prepare(
    source: str | Path,
    out: str | Path,
    size: int = 128,
    workers: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Cut the largest face of every labelled photo of a folder into `out`/train and `out`/validation.

    Crops are JPEG of quality 95, `size` pixels square, each folder with its `labels.csv`. Where the labels name no
    split, 5 % of the photos, chosen by a hash of their names, are validation. A run that was interrupted goes on where
    it was. progress: called with the number of photos done and their total. Raises FaceEditError kinds for a folder or
    labels that cannot be used; photos that cannot be are in the result.
    """
    if not 32 <= size <= 1024:
        raise UsageError(f"size must lie between 32 and 1024, not {size}")
    source, out = Path(source), Path(out)
    labels = read_labels(source)
    _keep_settings(source, out, size)
    jobs = list(_jobs(source, out, labels))
    outcomes: dict[Path, Problem] = {target: None for _, target, _ in jobs if os.path.exists(target)}
    pending = [(path, target) for path, target, _ in jobs if target not in outcomes]
    progress(len(outcomes), len(jobs))
    with contextlib.closing(_in_processes(pending, size, workers)) as done:
        for results in done:
            outcomes.update(results)
            progress(len(outcomes), len(jobs))
    summary = Prepared()
    kept: dict[str, list[Label]] = {TRAIN: [], VALIDATION: []}
    for path, target, label in jobs:
        problem = outcomes[target]
        if isinstance(problem, FaceEditError):
            summary.failed.append(problem)
            continue
        if problem is not None:
            getattr(summary, problem).append(str(path))
            continue
        assert label.split is not None  # as _jobs gives it
        file = target.relative_to(out / label.split).as_posix()
        kept[label.split].append(replace(label, file=file))
    for split, rows in kept.items():
        if rows:
            write_labels(out / split, rows)
    summary.train, summary.validation = len(kept[TRAIN]), len(kept[VALIDATION])
    return summary


def _keep_settings(source: Path, out: Path, size: int) -> None:
    """Note source and size in `out`, so that a later run does not mix the crops of two."""
    make_folder(out)
    remove_leftovers([out, out / TRAIN, out / VALIDATION])
    path = out / SETTINGS_FILE
    settings = json.dumps({"size": size, "source": str(source.resolve())}) + "\n"
    before = path.read_text(errors="replace") if path.exists() else None
    others = [folder for folder in (out / TRAIN, out / VALIDATION) if folder.is_dir() and any(folder.iterdir())]
    if before is None and others:
        raise UsageError(f"{others[0]} holds what prepare did not make; choose another folder")
    if before is not None and before != settings:
        raise UsageError(f"{out} holds crops made with other settings ({before.strip()}); choose another folder")
    write_atomically(path, settings.encode())


def _jobs(source: Path, out: Path, labels: list[Label]) -> Iterator[tuple[Path, Path, Label]]:
    """Yield (photo, crop, label) with the label's split settled and no two photos writing the same crop."""
    targets, seen = set(), set()
    photos = photos_folder(source, labels)
    own = out.resolve() if out.resolve().is_relative_to(source.resolve()) else None
    for label in labels:
        is_crop = own is not None and (photos / label.file).resolve().is_relative_to(own)
        if label.file in seen or is_crop:
            continue
        seen.add(label.file)
        label = with_split(label)
        split = label.split
        assert split is not None
        path = PurePosixPath(label.file)
        inner = PurePosixPath(*path.parts[1:]) if path.parts[0] == split and len(path.parts) > 1 else path
        if label.file.encode(errors="ignore").decode() != label.file:  # no UTF-8, as the table of crops is
            inner = PurePosixPath(quote(os.fsencode(inner.as_posix())))
        target = out / split / inner.with_suffix(".jpg")
        if target in targets:  # the same name with another ending
            target = out / split / f"{inner}.jpg"
        if target not in targets:
            targets.add(target)
            yield photos / label.file, target, label


def _in_processes(
    pending: list[tuple[Path, Path]], size: int, workers: int
) -> Generator[dict[Path, Problem], None, None]:
    chunks = [pending[i : i + CHUNK] for i in range(0, len(pending), CHUNK)]
    if not chunks:
        return
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(min(workers, len(chunks)), context, _start_worker, (size, stop))
    try:
        with _without_interrupts():  # as the workers inherit: they are for this process, which ends them
            results = pool.map(_cut_chunk, chunks)
        yield from results
    except BrokenProcessPool as error:
        raise MemoryExhaustedError(
            "a worker was killed, as happens when memory runs out: with fewer workers, preparing again goes on"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        remove_leftovers(target.parent for _, target in pending)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Outside the main thread there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start_worker(size: int, stop: "Event") -> None:
    global _detector, _size, _stop
    import torch

    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _detector, _size, _stop = FaceDetector(), size, stop


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = parent_process()
    assert parent is not None  # as this is a worker
    parent.join()
    os._exit(1)


def _cut_chunk(chunk: list[tuple[Path, Path]]) -> dict[Path, Problem]:
    """For each crop to make: None when it was made, else the name of the list in Prepared, or an error for it."""
    return {target: _cut(path, target) for path, target in chunk if not _stop.is_set()}


def _cut(path: Path, target: Path) -> Problem:
    """Raises UnwritableError where the crop cannot be written, as on a full disk: no other could be, either."""
    try:
        image = read_photo(path).pixels
        faces = _detector.detect(image)
        if not faces:
            return "no_face"
        crop = encode_photo(Photo(crop_face(image, alignment(faces[0].landmarks, _size), _size)), "JPEG")
    except FaceEditError:
        return "unreadable"
    except Exception as error:  # whatever a library raises for one photo must not end the others
        return unexpected(f"{path} could not be cut", error)
    try:
        make_folder(target.parent)
        write_atomically(target, crop)
    except UnwritableError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENAMETOOLONG:
            return UnexpectedError(f"{path} could not be cut: {error}")
        raise
    return None
