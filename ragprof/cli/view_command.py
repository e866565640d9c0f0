"""Looking at recordings: `ragprof view`, all of a folder on a local page, and `ragprof show`, one on the terminal."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import Recording

Shelved = Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of recordings.")]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command()(show)
    app.command()(view)


def show(folder: Recording) -> None:
    """Show a recording on the terminal: decisions, main tables, two charts.

    Nothing is computed or written. Example: ragprof show reports/python-docs
    """
    from ragprof.session.summary import read_analysis

    console.show(read_analysis(folder).shown())


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
