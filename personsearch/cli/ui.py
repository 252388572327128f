"""The `ui` command: the page in the browser, which is a service for apps too."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from personsearch.cli.options import Device, Every, Model, PrecisionOption, open_searcher, say


def ui(
    sources: Annotated[list[str] | None, typer.Argument(help="Folders, pictures, videos, patterns or galleries to open.")] = None,
    model: Model = None,
    device: Device = "auto",
    precision: PrecisionOption = "float32",
    every: Every = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
    root: Annotated[Path | None, typer.Option(help="Folder that the sources chosen on the page must be in.")] = None,
    fixed: Annotated[bool, typer.Option("--fixed", help="Open no other sources than those named here.")] = False,
) -> None:
    """Choose pictures, click a person, see who is the same: a page on this machine, which is a JSON service too.

    Prints the address with its token as JSON. PERSONSEARCH_TOKEN sets the token; without it each run has a new one. Nothing is sent
    anywhere.
    """
    from personsearch import ui as page

    searcher = open_searcher(model, device, precision)
    app = page.create_app(searcher, token=os.environ.get("PERSONSEARCH_TOKEN") or None, sources=not fixed, root=root)
    for source in sources or []:
        app.state.service.galleries.add(source, every, anywhere=True)
    listener = page.bound(port)
    address = page.address_of(app, listener)
    typer.echo(json.dumps({"url": address, "port": listener.getsockname()[1], "token": app.state.token}))
    say(f"the page is at {address}\npress Ctrl+C to end")
    leading = page.open_page(address) if browser else None
    try:
        page.serve(app, listener)
    finally:
        if leading is not None:
            leading.unlink(missing_ok=True)
