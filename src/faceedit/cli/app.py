"""The application that commands join, the options that they share, and how they speak to a person."""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console

from faceedit import __version__
from faceedit.cli.completion import editor_weights
from faceedit.cli.help import Command, Group
from faceedit.errors import (
    ExistsError,
    FaceEditError,
    RunExistsError,
    UnexpectedError,
    UsageError,
    is_url,
    unexpected,
)
from faceedit.files import make_folder, remove_leftovers

if TYPE_CHECKING:
    from rich.progress import Progress

app = typer.Typer(
    help="Change the expression of a face in a photo to a chosen valence (unpleasant to pleasant) and arousal "
    "(calm to excited).",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,  # which would take [web] for a style, and five columns into a narrow terminal
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
logger = logging.getLogger("faceedit")
console = Console(stderr=True, highlight=False)

STANDARD = "-"  # for standard input, and for standard output
TARGET, FACES, OUTPUT, MACHINE = "Target", "Faces", "Output", "Machine"  # panels of options
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.", rich_help_panel=OUTPUT)]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where the networks run.", rich_help_panel=MACHINE)
]
Weights = Annotated[
    str,
    typer.Option(
        help="Published weights by name, a .safetensors file, or hub:owner/name@rev.",
        autocompletion=editor_weights,
        rich_help_panel=MACHINE,
    ),
]
Photos = Annotated[
    list[str], typer.Argument(metavar="PHOTO", help="Files, folders, patterns with * and ?, or - for standard input.")
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Also the folders in a folder.", rich_help_panel=FACES)
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a photo, a line each.", rich_help_panel=OUTPUT)
]
FaceChoice = Annotated[
    str,
    typer.Option(
        "--face", metavar="largest|N", help="Which face; N counts from 1, the largest.", rich_help_panel=FACES
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="eyes|brows|mouth",
        help="A part of the face to edit, again for several; the rest stays as it is.",
        autocompletion=lambda: ["eyes", "brows", "mouth"],
        rich_help_panel=FACES,
    ),
]
Function = TypeVar("Function", bound=Callable[..., None])


# What a person can do on the command line about an error of the library, by its kind.
HINTS: dict[type[FaceEditError], str] = {
    ExistsError: "choose another name, or give --overwrite",
    RunExistsError: "go on with --resume, or choose another folder with --run",
    UnexpectedError: "--debug shows where",
}


def command(panel: str, *examples: str) -> Callable[[Function], Function]:
    """Add a function to the commands: listed in a panel, with examples at the end of its help."""
    return app.command(cls=Command, rich_help_panel=panel, epilog="\n".join(examples))


class Printer(logging.Handler):
    """Prints what the library logs, a line each, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"faceedit: {record.getMessage()}")
        if record.exc_info:
            say_lines("".join(traceback.format_exception(*record.exc_info)))


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the traceback of every error.")] = False,
) -> None:
    logger.handlers = [Printer()]
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
    if version:
        print(f"faceedit {__version__}")
        raise typer.Exit


@contextmanager
def failing_as(subject: str) -> Iterator[None]:
    """Turn exceptions that are none of ours into an error that names what failed."""
    try:
        yield
    except FaceEditError:
        raise
    except Exception as error:
        raise unexpected(subject, error) from error


def refuse_existing(path: Path, overwrite: bool, check: Callable[[Path], object] | None = None) -> None:
    """Raise before the work where a file cannot be put or is there already; make its folder, and remove what killed
    runs left in it. check: raises for a name whose ending will not do.
    """
    if is_url(str(path)):
        raise UsageError(f"{path} is a URL: name a file to write")
    if str(path) == STANDARD:
        raise UsageError(f"{STANDARD} stands for standard output, which does not take this: name a file")
    if check is not None:
        check(path)
    make_folder(path.parent)
    remove_leftovers([path.parent])
    if path.exists() and not overwrite:
        raise ExistsError(path)


def missing_extra(purpose: str, extra: str) -> UsageError:
    """An extra of the package that is not installed, with the command that installs it."""
    return UsageError(f"{purpose}, which is not installed: pip install 'faceedit[{extra}]'")


@contextmanager
def spinner(doing: str) -> Iterator[None]:
    """Show on stderr that something goes on whose steps cannot be counted, as long as it does."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal
    ) as progress:
        progress.add_task(doing, total=None)
        yield


def progress_bar(unit: str, disable: bool = False) -> "Progress":
    """A progress display with a rate and the time left, on stderr."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f} {unit}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    # Results go to stdout while the bar is on stderr: rich would send both to the same place.
    return Progress(*columns, console=console, redirect_stdout=False, disable=disable or not console.is_terminal)


def say(line: str) -> None:
    """One line for a person to read, on stderr."""
    console.print(printable(line), markup=False, soft_wrap=True)


def say_lines(text: str) -> None:
    """Several lines for a person to read, as a traceback, on stderr."""
    for line in text.splitlines():
        say(line)


def printable(text: str) -> str:
    """The text as one line, in which a file can neither forge further lines nor command the terminal."""
    return "".join(
        character if character.isprintable() or "\udc80" <= character <= "\udcff" else repr(character)[1:-1]
        for character in text
    )


def say_error(error: Exception, file: Path | None = None) -> None:
    """What went wrong, as one line, and what to do about it; with --debug, also where. file: one among others."""
    hints = [hint for kind, hint in HINTS.items() if isinstance(error, kind)]
    subject = "" if file is None or str(file) in str(error) else f"{file}: "
    say("; ".join([f"faceedit: {subject}{' '.join(str(error).split())}", *hints]))
    if logger.isEnabledFor(logging.DEBUG):
        say_lines("".join(traceback.format_exception(error)))
