"""Signed tree heads: what the log was at a size, each linked to the one before.

Spec: https://www.rfc-editor.org/rfc/rfc6962#section-3.5 (the idea; the encoding is canonical JSON signed with Ed25519)
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_encoder = msgspec.json.Encoder(order="deterministic")
NO_HEAD = bytes(32)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The log's size and hash at a time, signed."""

    size: int
    root: bytes
    recorded: int
    previous: bytes
    signature: bytes = b""

    def statement(self) -> bytes:
        """Write what is signed."""
        return _encoder.encode(
            {"log": "chartloop-audit", "previous": self.previous.hex(), "recorded": self.recorded, "root": self.root.hex(), "size": self.size}
        )

    def link(self) -> bytes:
        """Hash this head, for the next one."""
        return hashlib.sha256(self.statement() + self.signature).digest()

    def line(self) -> str:
        """Write the head as a line of the heads file."""
        return json.dumps(self.json(), sort_keys=True)

    def json(self) -> dict[str, Any]:
        """Give the head as members."""
        return {**json.loads(self.statement()), "signature": self.signature.hex()}


def sign(key: Ed25519PrivateKey, size: int, root: bytes, recorded: int, previous: bytes) -> TreeHead:
    """Make a signed head."""
    draft = TreeHead(size, root, recorded, previous)
    return TreeHead(size, root, recorded, previous, key.sign(draft.statement()))


def is_signed(key: Ed25519PublicKey, head: TreeHead) -> bool:
    """Check a head's signature."""
    try:
        key.verify(head.signature, head.statement())
    except InvalidSignature:
        return False
    return True


def head_of(line: str) -> TreeHead | None:
    """Read a line of the heads file; None when it is torn."""
    try:
        found = json.loads(line)
        return TreeHead(
            int(found["size"]),
            bytes.fromhex(found["root"]),
            int(found["recorded"]),
            bytes.fromhex(found["previous"]),
            bytes.fromhex(found["signature"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def read_heads(file: Path) -> list[TreeHead]:
    """Read the heads kept outside the database; a torn last line was never relied on."""
    if not file.exists():
        return []
    lines = file.read_text("utf-8", errors="replace").split("\n")
    return [head for line in lines if line and (head := head_of(line)) is not None]


@contextmanager
def appending(file: Path) -> Iterator[int]:
    """Open a heads file to append to it, alone among all processes."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def append_heads(handle: int, heads: list[TreeHead]) -> None:
    """Append heads to an open file and make them durable."""
    size = os.fstat(handle).st_size
    torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
    os.write(handle, (("\n" if torn else "") + "".join(f"{head.line()}\n" for head in heads)).encode())
    os.fsync(handle)
