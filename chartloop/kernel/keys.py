"""Secrets in files: made on first use, readable by their owner only."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def secret(directory: Path, name: str, make: Callable[[], bytes] = lambda: os.urandom(32)) -> bytes:
    """Read the secret of this name, or make it; of two processes that race, both get the first one's."""
    path = directory / name
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = directory / f".{name}.{os.getpid()}.{os.urandom(4).hex()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, make())
            os.fsync(handle)
        finally:
            os.close(handle)
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes()


def hmac_secret(directory: Path) -> bytes:
    """Read or make the key of the ordering keys."""
    return secret(directory, "hmac.key")


def signing_key(directory: Path) -> Ed25519PrivateKey:
    """Read or make the key that signs the heads of the audit log."""
    return Ed25519PrivateKey.from_private_bytes(secret(directory, "audit-ed25519.key"))
