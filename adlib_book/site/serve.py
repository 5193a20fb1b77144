"""Showing the built pages on this machine."""

from __future__ import annotations

import functools
import http.server

from adlib_book.runner.terminal import say
from adlib_book.runner.workspace import Workspace


def serve(port: int) -> None:
    """Serve the built pages to this machine only, until interrupted.

    Raises:
        FileNotFoundError: the pages have not been built.
    """
    pages = Workspace.here().build / "html"
    if not (pages / "index.html").is_file():
        raise FileNotFoundError(f"no pages in {pages}; build them first with: make book")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=pages)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        say(f"http://127.0.0.1:{server.server_port}  (stop with Ctrl-C)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
