"""The payer's HTTP front: interchanges in, a mailbox out, and switches for trouble."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chartloop.demo.payer.deciding import Behaviour, chance
from chartloop.demo.payer.desk import SECOND_US, Desk
from chartloop.demo.payer.edi import Unreadable
from chartloop.demo.payer.memory import Memory
from chartloop.kernel.clock import now_us

MAX_BODY = 16 * 1024 * 1024


class PayerServer(ThreadingHTTPServer):
    """Several payers behind one address: `/payers/{payer_id}/interchanges` and `…/mailbox`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], payers: dict[str, str], memory_file: Path, seed: int) -> None:
        memory = Memory(memory_file)
        self.desks = {payer: Desk(payer, name, seed, memory) for payer, name in payers.items()}
        self.stopping = threading.Event()
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: PayerServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case ["payers", payer, "mailbox"] if payer in self.server.desks:
                query = parse_qs(url.query)
                after, limit = int(query.get("after", ["0"])[0]), int(query.get("limit", ["100"])[0])
                self._mailbox(self.server.desks[payer], after, limit)
            case ["stats"]:
                self._answer(200, {payer: desk.memory.stats(payer) for payer, desk in self.server.desks.items()})
            case ["healthz"]:
                self._answer(200, {"status": "ok"})
            case _:
                self._answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self._answer(413, {"error": f"at most {MAX_BODY} bytes"})
            return
        body = self.rfile.read(length)
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["payers", payer, "interchanges"] if payer in self.server.desks:
                self._receive(self.server.desks[payer], body)
            case ["behaviour"]:
                self._behave(json.loads(body))
            case _:
                self._answer(404, {"error": "no such page"})

    def _receive(self, desk: Desk, body: bytes) -> None:
        key = self.headers.get("Idempotency-Key", "")
        behaviour = desk.behaviour
        if behaviour.hang_s:
            self.server.stopping.wait(behaviour.hang_s)
        stumbles = chance(desk.seed, desk.payer, key, "outage") < behaviour.outage_rate and desk.memory.first_attempt(desk.payer, key)
        if behaviour.outage or stumbles:
            desk.memory.next(desk.payer, "outages")
            self._answer(503, {"error": "the payer is down"})
            return
        try:
            self._answer(202, {"sha256": desk.receive(key, body)})
        except Unreadable:
            self._answer(400, {"error": "no ISA segment"})

    def _mailbox(self, desk: Desk, after: int, limit: int) -> None:
        if desk.behaviour.outage:
            self._answer(503, {"error": "the payer is down"})
            return
        items = desk.memory.mailbox(desk.payer, after, limit, now_us() / SECOND_US)
        self._answer(200, {"items": [{"n": n, "name": name, "body": text} for n, name, text in items]})

    def _behave(self, change: dict[str, Any]) -> None:
        desk = self.server.desks.get(str(change.pop("payer", "")))
        if desk is None or not set(change) <= set(Behaviour.__slots__):
            self._answer(400, {"error": "payer and fields of its behaviour wanted"})
            return
        for name, value in change.items():
            setattr(desk.behaviour, name, type(getattr(desk.behaviour, name))(value))
        self._answer(200, {name: getattr(desk.behaviour, name) for name in Behaviour.__slots__})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: what is sent here is patient data."""
