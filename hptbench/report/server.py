"""A report that follows a study while it runs: a server for this machine alone."""

from __future__ import annotations

import hashlib
import html
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from hptbench.errors import UserError
from hptbench.report.page import Page, render
from hptbench.results.unfinished import signature

HOST = "127.0.0.1"
_REST = 2.0
"""Seconds between two pages at least, and as long as making one took."""


class Server(ThreadingHTTPServer):
    """Serves the page of the study in ``folder`` at /, and at /state what changes when it does.

    ``make`` makes the page. Only requests to this machine by its own name are answered, so that a web site elsewhere
    that calls itself by this address reads nothing."""

    daemon_threads = True

    def __init__(self, folder: Path, make: Callable[[], Page], port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self._folder, self._make = folder, make
        self._lock = threading.Lock()
        self._text, self._state, self._due = "", "", 0.0

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def state(self) -> str:
        """A hash of what the study has logged, the last one while a new page is not due."""
        if time.monotonic() < self._due:
            return self._state
        return hashlib.sha256(repr(signature(self._folder)).encode()).hexdigest()[:16]

    def page(self) -> str:
        """The page of the present state."""
        with self._lock:
            state = self.state()
            if state != self._state:
                began = time.monotonic()
                try:
                    self._text = render(self._make(), watch=state)
                except UserError as error:  # nothing has begun, or runs do not compare yet: said in the page
                    self._text = _WAITING.format(state=state, message=html.escape(str(error)))
                self._state = state
                self._due = time.monotonic() + max(_REST, time.monotonic() - began)
            return self._text


_WAITING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>hptbench</title><body data-watch="{state}">
<p role="status">{message}</p><script>setInterval(async () => {{
if ((await (await fetch("/state")).text()) !== document.body.dataset.watch) location.reload(); }}, 3000);</script>"""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = (self.headers.get("Host") or "").rpartition(":")[0]
        if name not in (HOST, "localhost"):
            self.send_error(403, "only for this machine")
            return
        answers = {"/": (self.server.page, "text/html"), "/state": (self.server.state, "text/plain")}
        if self.path not in answers:
            self.send_error(404)
            return
        answer, kind = answers[self.path]
        body = answer().encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a page asks every few seconds."""


def serve(folder: Path, make: Callable[[], Page], port: int) -> int:
    """Serve until interrupted. UserError if ``folder`` is no study's or the port is taken."""
    if not (folder / "runs").is_dir():
        raise UserError(f"expected the folder of a study, with runs/ in it, got {folder}; start the study first")
    try:
        server = Server(folder, make, port)
    except OSError as error:
        raise UserError(f"port {port} cannot be used ({error.strerror}); set --port, 0 for any that is free") from error
    with server:
        print(f"{server.url} shows {folder} and follows it; end with Ctrl-C", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
