"""The command line: each command parses, calls one library function and prints. Nothing else prints or exits.

Results go to stdout, everything for a person to watch to stderr. Heavy imports happen inside the commands.
"""

import sys

from faceedit.cli import edit, measure, train, web  # noqa: F401 - each adds its commands
from faceedit.cli.app import app, say_error
from faceedit.errors import FaceEditError, MemoryExhaustedError, UnreadableError, is_out_of_memory


def main() -> None:
    """Run the command line; errors meant for a user become one line on stderr and their exit code."""
    for stream in (sys.stdout, sys.stderr):  # names of files may be no UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="surrogateescape")
    try:
        app(prog_name="faceedit")
    except FaceEditError as error:
        _fail(error)
    except Exception as error:
        if is_out_of_memory(error):
            _fail(MemoryExhaustedError("there is not enough memory for this: try --device cpu, or a smaller batch"))
        if isinstance(error, OSError):
            _fail(UnreadableError(f"{error.filename or 'a file'}: {error.strerror or error}"))
        raise


def _fail(error: FaceEditError) -> None:
    say_error(error)
    sys.exit(error.exit_code)
