"""Writing files whole or not at all, and removing what killed processes left behind.

What is being written has a name of its own, such as `.a.jpg.faceedit-ab12cd34ab12cd34`, and is locked by its process.
The system takes the lock away with the process: what has such a name and no lock belongs to nobody.
"""

import contextlib
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from faceedit.errors import ExistsError, UnwritableError, UsageError, is_url

if sys.platform != "win32":
    import fcntl

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
# It can only be read by setting it, for the whole process: once, before there are threads.
UMASK = os.umask(0)
os.umask(UMASK)
TEMPORARY = re.compile(r"\..+\.faceedit-[a-z0-9_]{8}([a-f0-9]{8})?", re.DOTALL)  # a folder's end is tempfile's


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where there is none. Raises UsageError for a URL, UnwritableError."""
    if is_url(str(path)):
        raise UsageError(f"{path} is a URL: name a file or folder to write")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableError(f"cannot make the folder {path}: {error.strerror}") from error


def write_atomically(
    path: str | Path, data: bytes | Callable[[IO[bytes]], None], durable: bool = False, overwrite: bool = True
) -> None:
    """Put `data` at `path`, so that a reader sees the old file or the new one, never a part.

    data: the bytes, or a function that writes them to an open file. durable: wait until the disk has it, so that a
    power cut cannot leave an empty file either. overwrite: replace what is there. Raises ExistsError where something
    is and may not be replaced, whenever it came, and UnwritableError when the file cannot be written.
    """
    path = Path(path)
    if "\0" in str(path):
        raise UnwritableError("cannot write a file whose name holds a zero byte")
    try:
        with _temporary_file(path) as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.chmod(file.name, 0o666 & ~UMASK)  # a temporary file is private; an output is an ordinary file
            if sys.platform == "win32":  # where an open file cannot be moved
                file.close()
            _place(file.name, path, overwrite)
    except OSError as error:
        raise UnwritableError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def temporary_folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """A private folder, in `parent` or where the system keeps such, that is removed at the end with what is in it.

    What processes that were killed left there of theirs is removed first.
    """
    parent = parent or Path(tempfile.gettempdir())
    remove_leftovers([parent])
    while True:
        with tempfile.TemporaryDirectory(dir=parent, prefix=_prefix(name), ignore_cleanup_errors=True) as folder:
            handle = None
            try:
                if sys.platform != "win32":
                    handle = os.open(folder, os.O_RDONLY)
                    _lock(handle)
            except FileNotFoundError:
                pass
            try:
                if os.path.isdir(folder):  # else it was taken for a leftover before it was locked
                    yield Path(folder)
                    return
            finally:
                if handle is not None:
                    os.close(handle)


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove from these folders what processes left behind that were killed while they wrote there."""
    for folder in set(folders):
        names = []
        with contextlib.suppress(OSError):
            names = [name for name in os.listdir(folder) if TEMPORARY.fullmatch(name)]
        for name in names:
            with contextlib.suppress(OSError):  # it is somebody's, or gone
                _remove_unowned(folder / name)


def _remove_unowned(path: Path) -> None:
    """Raises OSError where its process is alive, or it is another user's."""
    if sys.platform == "win32":  # where what is open cannot be removed
        path.unlink()
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def _temporary_file(path: Path) -> Iterator[IO[bytes]]:
    """An open, locked file beside `path`, removed at the end if it is still there."""
    while True:
        # Named before it is made: a signal may come in between, and what is made must be known to be removed.
        name = str(path.parent / (_prefix(path.name) + secrets.token_hex(8)))
        try:
            with open(name, "x+b", opener=partial(os.open, mode=0o600)) as file:
                _lock(file.fileno())
                if os.fstat(file.fileno()).st_nlink:  # else it was taken for a leftover before it was locked
                    yield file
                    return
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _lock(handle: int) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)


def _place(temporary: str, path: Path, overwrite: bool) -> None:
    """Give a file its name, in one step that another process cannot come into."""
    if overwrite:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise ExistsError(path) from error
    except OSError:  # a file system without links: claim the name first
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError as error:
            raise ExistsError(path) from error
        try:
            os.replace(temporary, path)
        except BaseException:
            os.unlink(path)
            raise


def _prefix(name: str) -> str:
    return f".{name[:40]}.faceedit-"
