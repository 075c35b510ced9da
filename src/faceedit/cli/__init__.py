"""The command line: each command parses, calls one library function and prints. Nothing else prints or exits.

Results go to stdout, everything for a person to watch to stderr. Heavy imports happen inside the commands.
"""

import codecs
import io
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

# Each adds its commands; in this order, help lists them.
from faceedit.cli import edit, series, grid, animate, info, measure, augment, train, web  # noqa: F401  # isort: skip
from faceedit.cli.app import app, say_error
from faceedit.errors import FaceEditError, FileError, MemoryExhaustedError, UnwritableError, is_out_of_memory

# For terminals that have no Unicode.
IN_ASCII = {
    "→": "->",
    "…": "...",
    "\N{EN DASH}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    **dict.fromkeys("━─╸╺", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("╭╮╰╯", "+"),
}


def main() -> None:
    """Run the command line; errors meant for a user become one line on stderr and their exit code."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has but one of them
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, interrupter())
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        # Unbuffered, as by python -u: what a full disk does not take would be lost without a word.
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(sys.stdout.buffer), sys.stdout.encoding, line_buffering=True)
    codecs.register_error("faceedit", _say_otherwise)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="faceedit")
    try:
        try:
            app(prog_name="faceedit")
        finally:
            _flush()
    except KeyboardInterrupt:  # typer ends so itself, once it has read what commands there are
        sys.exit(130)
    except FaceEditError as error:
        _fail(error)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(MemoryExhaustedError("there is not enough memory for this: try --device cpu, or a smaller batch"))
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else "reading or writing failed: "
            _fail(FileError(f"{where}{error.strerror or error}"))
        raise


def _say_otherwise(error: UnicodeError) -> tuple[bytes, int]:
    """What a stream's encoding cannot say: the bytes of a file's name as they are, the rest in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    said = b""
    for character in error.object[error.start : error.end]:
        if "\udc80" <= character <= "\udcff":
            said += bytes([ord(character) - 0xDC00])
        else:
            said += IN_ASCII.get(character, character).encode("ascii", "backslashreplace")
    return said, error.end


def interrupter() -> Callable[[int, FrameType | None], None]:
    """A signal's handler that ends this process as Ctrl-C does, so that what is unfinished is removed."""
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child has its parent's handlers, but nothing of its own to remove
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for name in ("SIGTERM", "SIGHUP"):  # once is enough
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        raise KeyboardInterrupt

    return interrupt


def _flush() -> None:
    """Write out what is printed. Raises UnwritableError where that fails, which Python itself would do too late."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it would be tried again at the end
        if not isinstance(error, BrokenPipeError):
            raise UnwritableError(f"standard output: {error.strerror or error}") from error
        sys.exit(1)


def _fail(error: FaceEditError) -> None:
    say_error(error)
    sys.exit(error.exit_code)
