"""Serving the page: under which names, how large what is sent may be, and what visitors can reach."""

import contextlib
import ipaddress
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from faceedit.editing.editor import FaceEditor
from faceedit.errors import UsageError
from faceedit.web.layout import build

MAX_UPLOAD = "100mb"
MAX_SESSIONS = 32  # whose photos are kept in memory


class KnownHosts:
    """Refuses requests to names that the page is not served under.

    A hostile page can have its own name lead to this machine, and then read what is served here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]):
        self.app, self.names = app, frozenset(name.lower().removesuffix(".") for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self.is_known(Headers(scope=scope).get("host", "")):
            await PlainTextResponse("this page is not served under that name", 400)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def is_known(self, host: str) -> bool:
        """Whether it is one of the names, or an address, which nobody can have lead elsewhere."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return name in self.names


def launch(
    editor: FaceEditor,
    folder: Path,
    host: str,
    port: int | None,
    browser: bool = False,
    names: Sequence[str] = (),
) -> gr.Blocks:
    """Serve the page in the background, from the first free port on where none is given; `.local_url` is where.

    names: under which it is reached, beside localhost, the host and addresses; others are refused.
    Of the file system, visitors can reach what they sent and what was made for them.
    Raises UsageError for an address that is taken.
    """
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # it keeps names of photos in the browser, and opens a route
    blocks = build(editor, folder)
    blocks.queue(default_concurrency_limit=1)  # edits take turns: one alone uses every core
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            ssr_mode=False,
            max_file_size=MAX_UPLOAD,
            app_kwargs={"middleware": [Middleware(KnownHosts, names=frozenset({"localhost", host, *names}))]},
            state_session_capacity=MAX_SESSIONS,
            theme=_theme(),
            css=(files("faceedit.web") / "page.css").read_text(),
            footer_links=[],
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise UsageError(f"cannot serve on {host}, port {port or 'any'}: {error}") from error
    return blocks


def _theme() -> gr.themes.Base:
    """Gradio's own theme in system fonts, and darker where its text has too little contrast (WCAG 2.1, 4.5 to 1)."""
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return theme.set(
        body_text_color_subdued="*neutral_600",
        color_accent="*primary_700",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
    )
