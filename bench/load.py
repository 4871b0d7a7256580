"""A load generator: closed loop over raw sockets in one thread, cheap enough to share two cores with the server."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Run(NamedTuple):
    """What a run measured."""

    seconds: float
    latencies: list[float]
    statuses: dict[int, int]

    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else float("nan")


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.missing = -1
        self.status = 0
        self.sent = 0.0

    def send(self, request: bytes) -> None:
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what came; True when the answer is whole."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed a connection")
        if self.missing < 0:
            self.received += data
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self.received[:end].lower()
            self.status = int(head[9:12])
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            self.missing = length - (len(self.received) - end - 4)
        else:
            self.missing -= len(data)
        if self.missing > 0:
            return False
        self.received, self.missing = b"", -1
        return True


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: application/fhir+json\r\n"
    if body:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def drive(port: int, clients: int, requests: Callable[[], Iterator[bytes]], seconds: float) -> Run:
    """Keep every client busy until the time is over or the requests are."""
    source = requests()
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    began = time.perf_counter()
    open_ = 0
    for _ in range(clients):
        following = next(source, None)
        if following is not None:
            connection = _Connection(port)
            connection.send(following)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            open_ += 1
    while open_:
        for key, _ in selector.select():
            connection = key.data
            if not connection.receive():
                continue
            now = time.perf_counter()
            latencies.append(now - connection.sent)
            statuses[connection.status] = statuses.get(connection.status, 0) + 1
            following = next(source, None) if now - began < seconds else None
            if following is None:
                selector.unregister(connection.socket)
                connection.socket.close()
                open_ -= 1
            else:
                connection.send(following)
    return Run(time.perf_counter() - began, latencies, statuses)


def pace(port: int, rate: float, requests: Callable[[], Iterator[bytes]], seconds: float, *, connections: int = 16) -> Run:
    """Send at a fixed rate whatever comes back; a latency counts from the moment at which the request was due."""
    source = requests()
    idle = [_Connection(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    for connection in idle:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    began, planned, sent, total = time.perf_counter(), 0.0, 0, round(rate * seconds)
    due: dict[int, float] = {}
    while len(latencies) < total:
        planned = began + sent / rate
        while sent < total and idle and time.perf_counter() >= planned:
            connection = idle.pop(0)  # the one that was silent longest: a server closes those that are for too long
            connection.send(next(source))
            due[id(connection)] = planned
            sent += 1
            planned = began + sent / rate
        wait = max(0.0, planned - time.perf_counter()) if sent < total and idle else 1.0
        for key, _ in selector.select(wait):
            connection = key.data
            if connection.receive():
                latencies.append(time.perf_counter() - due.pop(id(connection)))
                statuses[connection.status] = statuses.get(connection.status, 0) + 1
                idle.append(connection)
    for connection in idle:
        connection.socket.close()
    return Run(time.perf_counter() - began, latencies, statuses)
