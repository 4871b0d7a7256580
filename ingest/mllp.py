"""The MLLP listener: frames in, acknowledgments out, a thread per connection.

Spec: HL7 v2 Transport: Minimal Lower Layer Protocol, release 2
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from chartloop.kernel.tls import NameRefused
from ingest.hl7v2.framing import TRUNCATED, Frame, FrameReader, frame

if TYPE_CHECKING:
    from chartloop.kernel.settings_sections import MllpSettings
    from chartloop.kernel.tls import Tls

_log = logging.getLogger(__name__)
_CHUNK = 65536
_FRAME_SILENCE_S = 30.0
_DRAIN_S = 1.0
_DRAIN_CHUNKS = 256


class Receiver(Protocol):
    """Who takes the messages."""

    def receive(self, raw: bytes) -> bytes:
        """Keep a message and give its acknowledgment, empty if none is due."""
        ...

    def refuse(self, raw: bytes, reason: str, *, keep: bool) -> bytes:
        """Give the answer to something that is no whole message."""
        ...


class MllpServer:
    """Listens on one address; each connection may carry any number of messages, answered in their order."""

    def __init__(self, settings: MllpSettings, intake: Receiver, *, max_connections: int = 64, tls: Tls | None = None) -> None:
        """Nothing is opened before `start`."""
        self._settings = settings
        self._intake = intake
        self._tls = tls
        self._slots = threading.BoundedSemaphore(max_connections)
        self._stopping = threading.Event()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}

    def start(self) -> int:
        """Listen; give the port, which matters where port 0 was asked for."""
        self._listener = socket.create_server((self._settings.host, self._settings.port), backlog=128)
        self._listener.settimeout(0.2)
        self._accepting = threading.Thread(target=self._accept, name="chartloop-mllp", daemon=True)
        self._accepting.start()
        port: int = self._listener.getsockname()[1]
        _log.info("Listening for HL7 v2 messages.", extra={"action": "mllp.listening", "port": port})
        return port

    def stop(self, timeout_s: float = 5.0) -> None:
        """Accept nothing more; messages under way get their answers, then connections are closed."""
        self._stopping.set()
        if self._accepting is not None:
            self._accepting.join(timeout_s)
        with self._lock:
            open_now = dict(self._open)
        for connection, thread in open_now.items():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
            thread.join(timeout_s)
        if self._listener is not None:
            self._listener.close()

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None and not self._stopping.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._stopping.wait(0.1):  # out of descriptors, perhaps: others may give some back
                    return
                continue
            if not self._slots.acquire(blocking=False):
                _log.warning("A connection was refused: there are as many as allowed.", extra={"action": "mllp.full"})
                connection.close()
                continue
            thread = threading.Thread(target=self._run, args=(connection,), name="chartloop-mllp-connection", daemon=True)
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with self._secured(connection) as stream:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(stream)
        except ssl.SSLError as error:
            _log.warning("A connection was not secured.", extra={"action": "mllp.tls_refused", "reason": str(error.reason)})
        except NameRefused:
            _log.warning("A sender's certificate carries no name that may come in.", extra={"action": "mllp.name_refused"})
        except OSError as error:
            _log.info("A connection broke.", extra={"action": "mllp.broken", "error": type(error).__name__})
        except Exception as error:
            _log.error("A connection failed.", extra={"action": "mllp.failed", "error": type(error).__name__})
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()
            self._slots.release()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        connection.settimeout(_FRAME_SILENCE_S)
        return self._tls.secure(connection)

    def _converse(self, stream: socket.socket) -> None:
        reader = FrameReader(self._settings.max_bytes)
        while not self._stopping.is_set():
            idle_s = self._settings.idle_timeout_s
            stream.settimeout(min(idle_s, _FRAME_SILENCE_S) if reader.pending else idle_s)
            try:
                data = stream.recv(_CHUNK)
            except TimeoutError:
                data = b""
            if not data:
                self._give_up(stream, reader)
                return
            for received in reader.feed(data):
                if not self._answer(stream, received):
                    _drain(stream)
                    return

    def _answer(self, stream: socket.socket, received: Frame) -> bool:
        """Answer one frame; whether the conversation can go on."""
        if not received.error:
            ack = self._intake.receive(received.body)
        else:
            _log.warning("A frame was refused.", extra={"action": "mllp.frame_refused", "reason": received.error})
            ack = self._intake.refuse(received.body, received.error, keep=received.error == TRUNCATED)
        if ack:
            stream.sendall(frame(ack))
        return received.error in ("", TRUNCATED)

    def _give_up(self, stream: socket.socket, reader: FrameReader) -> None:
        """The peer ended or fell silent: what it began and did not end is kept and refused, never taken."""
        rest = reader.rest()
        if rest:
            with suppress(OSError):
                self._answer(stream, Frame(rest, TRUNCATED))


def _drain(stream: socket.socket) -> None:
    """Let the peer read the answer before the connection is reset under what it still sends."""
    with suppress(OSError):
        stream.shutdown(socket.SHUT_WR)
        stream.settimeout(_DRAIN_S)
        for _ in range(_DRAIN_CHUNKS):
            if not stream.recv(_CHUNK):
                return
