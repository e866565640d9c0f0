"""`ragprof view`: every recording of a folder on a local page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ragprof.cli import console

Shelved = Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of recordings.")]


def add_to(app: typer.Typer) -> None:
    """Make the command part of the command line."""
    app.command()(view)


def view(
    folder: Shelved = Path("reports"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the page; default: a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address and open no browser.")] = False,
) -> None:
    """Show recordings side by side in a browser, and what runs now.

    On this machine alone; reads recordings and changes none. Ctrl-C ends it. Example: ragprof view reports
    """
    from ragprof.web.server import served

    with served(folder, port) as server:
        console.line(server.url)
        console.message("the page is open until Ctrl-C")
        if not no_browser:
            import webbrowser

            webbrowser.open(server.url)
        with suppress(KeyboardInterrupt):
            Event().wait()
