"""Run the service on this machine, and open its page in the browser."""

import html
import os
import socket
import tempfile
import webbrowser
from pathlib import Path
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from personsearch.errors import ConfigError

ADDRESS = "127.0.0.1"
BACKLOG = 128
LEADS_ON = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}"><a href="{0}">open the page</a>'


def bound(port: int) -> socket.socket:
    """A socket that listens on this machine only.

    Args:
        port: Port; 0 takes a free one.

    Raises:
        ConfigError: The port is taken or may not be used.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(f"port {port} cannot be used ({error}); choose another one, or 0 for a free one") from error
    listener.listen(BACKLOG)
    return listener


def address_of(app: FastAPI, listener: socket.socket) -> str:
    """The address of the page, with its token."""
    return f"http://{ADDRESS}:{listener.getsockname()[1]}/?token={quote(app.state.token)}"


def serve(app: FastAPI, listener: socket.socket) -> None:
    """Answer requests until the process is interrupted. Addresses are not logged, as one holds the token."""
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False, proxy_headers=False, ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def open_page(address: str) -> Path | None:
    """Open the page in the user's browser; returns the file that leads there, to be deleted later, or None without a browser.

    The browser gets a private file that leads on to the address: other users can read the arguments of a process, and the token with them.
    """
    descriptor, name = tempfile.mkstemp(prefix="personsearch-", suffix=".html")  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(LEADS_ON.format(html.escape(address)))
    path = Path(name)
    if webbrowser.open(path.as_uri()):
        return path
    path.unlink()
    return None
