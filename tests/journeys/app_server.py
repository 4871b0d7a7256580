"""A small server of an app's own files, at an origin of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = {"html": "text/html; charset=utf-8", "js": "text/javascript", "json": "application/json"}


class AppServer(ThreadingHTTPServer):
    """Serves the files that it holds by their names.

    Attributes:
        files: Name to content.
        origin: Of its pages.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.origin = f"http://localhost:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: AppServer

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/")
        body = self.server.files.get(name)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", KINDS.get(name.rpartition(".")[2], "text/plain"))
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def app_server() -> Iterator[AppServer]:
    """Start it, and stop it at the end."""
    with AppServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
