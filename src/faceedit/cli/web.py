"""The command that serves the page."""

import os
import threading
from typing import Annotated

import typer

from faceedit.cli.app import Device, Weights, command, missing_extra, say, spinner
from faceedit.config import DEFAULT_WEIGHTS
from faceedit.files import temporary_folder


@command(
    "Photos",
    "faceedit web",
    "faceedit web --host 0.0.0.0 --port 8000 --no-browser",
)
def web(
    host: Annotated[str, typer.Option(help="The address to serve on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first free one from 7860 on.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name that the page is reached by, such as a proxy's; again for more.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
    device: Device = "auto",
    weights: Weights = DEFAULT_WEIGHTS,
) -> None:
    """Serve a page on which to edit photos by a click on the circumplex; needs `faceedit[web]`."""
    with temporary_folder("web") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)  # or what Gradio keeps there would stay when the page ends
        with spinner("starting the page"):
            try:
                from faceedit.web.server import launch
            except ImportError as error:
                if error.name != "gradio":
                    raise
                raise missing_extra("the page needs Gradio", "web") from error
            from faceedit.editing.editor import FaceEditor

            editor = FaceEditor.from_pretrained(weights, device)
            blocks = launch(editor, folder, host, port, not no_browser, allow_host or ())
        say(f"the page is at {blocks.local_url}; Ctrl-C ends it")
        try:
            threading.Event().wait()
        finally:
            blocks.close(verbose=False)
