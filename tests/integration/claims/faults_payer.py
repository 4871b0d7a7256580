"""A payer that can be told to misbehave on the wire: it counts what it really received."""

import hashlib
import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WirePayer(ThreadingHTTPServer):
    """Modes: take, hang (takes, never answers), slam (takes, closes), refuse (400), outage (503), error (500), drip (of headers), trickle (of the body),
    page (200, HTML), excuse (200 with an error in its body), other (a receipt for other bytes), endless (a body without end), repeat (a mailbox that gives
    everything again)."""

    daemon_threads = True

    def __init__(self):
        self.mode = "take"
        self.received = []
        self.keys = []
        self.parents = []
        self.items = []
        self.asked = 0
        self.gone = threading.Event()
        self.arrived = threading.Event()
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}/payers/P1"
        threading.Thread(target=lambda: self.serve_forever(poll_interval=0.05), daemon=True).start()

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients of these tests go away on purpose."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        mode = self.server.mode
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if mode in ("refuse", "outage"):
            return self.answer(400 if mode == "refuse" else 503, {})
        self.server.received.append(body)
        self.server.keys.append(self.headers["Idempotency-Key"])
        self.server.parents.append(self.headers["traceparent"])
        self.server.arrived.set()
        if mode == "hang":
            self.server.stopping.wait(30)
        if mode in ("trickle", "endless"):
            return self.pour(b"{" if mode == "trickle" else b"{" * 65536, 0.2 if mode == "trickle" else 0.0)
        if mode == "slam":
            self.close_connection = True
            return None
        if mode == "drip":
            self.wfile.write(b"HTTP/1.1 202 Accepted\r\n")
            while not self.server.stopping.wait(0.2):
                self.wfile.write(b"X-Drip: 1\r\n")
        said = {"excuse": {"error": "try later"}, "other": {"sha256": "0" * 64}}.get(mode, {"sha256": hashlib.sha256(body).hexdigest()})
        return self.answer(500 if mode == "error" else 200 if mode in ("page", "excuse", "other") else 202, said)

    def do_GET(self):
        self.server.asked += 1
        if self.server.mode in ("hang", "trickle"):
            self.server.stopping.wait(30)
        after = int(self.path.partition("after=")[2].partition("&")[0] or 0)
        again = self.server.mode == "repeat"
        return self.answer(200, {"items": [i for i in self.server.items if again or i["n"] > after][:100]})

    def pour(self, piece, pause_s):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        with suppress(OSError):
            while not self.server.stopping.wait(pause_s):
                self.wfile.write(piece)
        self.server.gone.set()

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if self.server.mode == "page" else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Stay silent."""
