"""Writing files whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from faceedit.errors import UnreadableError

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
# It can only be read by setting it, for the whole process: once, before there are threads.
UMASK = os.umask(0)
os.umask(UMASK)
RANDOM = 8  # characters that tempfile puts behind the prefix


def write_atomically(path: str | Path, data: bytes | Callable[[IO[bytes]], None], durable: bool = False) -> None:
    """Put `data` at `path`, replacing what was there, so that a reader sees the old file or the new one, never a part.

    data: the bytes, or a function that writes them to an open file. durable: wait until the disk has it, so that a
    power cut cannot leave an empty file either. Raises UnreadableError when the file cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=_prefix(path), delete=False) as file:
            temporary = file.name
            if callable(data):
                data(file)
            else:
                file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~UMASK)  # a temporary file is private; an output is an ordinary file
        os.replace(temporary, path)
    except OSError as error:
        raise UnreadableError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove what processes left behind that were killed while they wrote these files; none may be at it now."""
    paths = list(paths)
    starts = {str(path.parent / _prefix(path)) for path in paths}
    for folder in {path.parent for path in paths}:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if str(folder / name)[:-RANDOM] in starts:
                    (folder / name).unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.name[:40]}."
