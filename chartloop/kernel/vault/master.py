"""The master key: 32 bytes from a file, the environment or a command, outside the database; it wraps data keys and nothing else.

Spec: NIST SP 800-57 part 1 (key-encrypting keys), https://www.rfc-editor.org/rfc/rfc5869 (HKDF)
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.keys import secret
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.envelope import KEY_BYTES, Altered

FILE: Final = "vault.key"
_NONCE: Final = 12
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_COMMAND_S: Final = 30.0


class Master:
    """One master key, known by its fingerprint."""

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes; what wraps and what is shown are derived from them and do not tell them."""
        self._wrapping = AESGCM(_derived(key, b"chartloop vault wrap"))
        self.fingerprint = _derived(key, b"chartloop vault fingerprint")[:6].hex()

    def wrap(self, key: bytes, scope: str) -> bytes:
        """Encrypt a data key for its scope."""
        nonce = os.urandom(_NONCE)
        return nonce + self._wrapping.encrypt(nonce, key, scope.encode())

    def unwrap(self, wrapped: bytes, scope: str) -> bytes:
        """Decrypt a data key.

        Raises:
            Altered: It was wrapped with another key or for another scope, or changed since.
        """
        try:
            return self._wrapping.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], scope.encode())
        except InvalidTag:
            raise Altered("A wrapped data key was altered, or stands where it does not belong.") from None


class Masters:
    """The master key that wraps, and earlier ones that still unwrap."""

    def __init__(self, current: Master, earlier: Iterable[Master] = ()) -> None:
        """Take the key in force and those before it."""
        self.current = current
        self.known = {each.fingerprint: each for each in (*earlier, current)}


def new_key() -> bytes:
    """Make a master key, as it is written down: base64 and a line end."""
    return base64.b64encode(os.urandom(KEY_BYTES)) + b"\n"


def key_file(settings: VaultSettings, keys: Path) -> Path:
    """Where the master key is, when it is a file."""
    return settings.key_file or keys / FILE


def open_masters(settings: VaultSettings, keys: Path, *, first: bool) -> Masters:
    """Read the master key and the earlier ones.

    Args:
        settings: Where they are.
        keys: Directory of the key file that nobody named.
        first: Whether nothing is wrapped yet, so that a key file that nobody named may be made.

    Raises:
        Unavailable: A key cannot be had; the sentence says which and what to do.
    """
    if settings.command:
        current = Master(_key(_said(settings.command), "vault.command"))
    elif settings.key.get_secret_value():
        current = Master(_key(settings.key.get_secret_value(), "vault.key"))
    else:
        if first and settings.key_file is None:
            secret(keys, FILE, new_key)
        current = Master(read_key_file(key_file(settings, keys)))
    return Masters(current, (Master(read_key_file(file)) for file in settings.earlier_key_files))


def read_key_file(file: Path) -> bytes:
    """Read a master key from a file that its owner alone may read."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise Unavailable(f"The master key file {file} cannot be read ({os.strerror(error.errno or 0)}): bring it back, or make one with `chartloop keys new {file}` for an empty store.") from None
    with os.fdopen(handle, "rb") as opened:
        if os.fstat(handle).st_mode & _OTHERS:
            raise Unavailable(f"The master key file {file} can be read by others than its owner: chmod 600 it, and ask who has read it.")
        return _key(opened.read(1024).decode("ascii", "replace"), str(file))


def _said(command: str) -> str:
    """Run the command that prints the key; its own words of an error go to this process's standard error."""
    try:
        done = subprocess.run(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=_COMMAND_S, check=True)  # noqa: S603 the operator's own setting
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unavailable(f"vault.command gave no master key ({type(error).__name__}): run it by hand, it must print 32 bytes in base64.") from None
    return done.stdout.decode("ascii", "replace")


def _key(text: str, source: str) -> bytes:
    """Read 32 bytes from base64 or hexadecimal digits; the text itself is in no error."""
    stripped = text.strip()
    for decode in (bytes.fromhex, lambda said: base64.b64decode(said, validate=True)):
        try:
            key = decode(stripped)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise Unavailable(f"{source} holds no master key: it must be 32 random bytes in base64 or hexadecimal; `chartloop keys new FILE` makes one.")


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)
