"""The keys that a backup needs and must not hold: whoever finds the backup finds sealed bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chartloop.backup.files import copy_file, files_below
from chartloop.kernel.config import Settings
from chartloop.kernel.db_session import Session
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.master import FILE, key_file, open_masters

AUDIT_KEY: Final = "audit-ed25519.key"


def keys_of(settings: Settings, session: Session) -> dict[str, Any]:
    """Fingerprints of the key files and of the master keys that belong to a store."""
    files = {str(path): _fingerprint(settings.keys / path) for path in key_files(settings.keys) if path.name != FILE}
    return {"files": files, "master": sorted(data_keys.masters(session))}


def key_files(directory: Path) -> list[Path]:
    """Key files of a directory, as paths from there; drafts of keys that are being made are none."""
    return [path for path in files_below(directory) if not path.name.startswith(".")] if directory.is_dir() else []


def named_key_files(settings: Settings) -> list[Path]:
    """Files of master keys that the settings name, wherever they lie."""
    return [key_file(settings.vault, settings.keys), *settings.vault.earlier_key_files]


def audit_public_key(keys: Path) -> str:
    """Public key of the audit log in hexadecimal; empty where there is no key, and none is made."""
    try:
        return Ed25519PrivateKey.from_private_bytes((keys / AUDIT_KEY).read_bytes()).public_key().public_bytes_raw().hex()
    except (OSError, ValueError):
        return ""


def bring_keys(source: Path, keys: Path) -> None:
    """Copy the key files of a directory where they were kept apart; a key that is there already stays."""
    for path in key_files(source):
        if not (keys / path).exists():
            copy_file(source / path, keys / path)


def missing_keys(settings: Settings, needed: Mapping[str, Any]) -> list[str]:
    """Say which keys are not at hand, or are other ones than the store was used with; no key is made here."""
    missing = []
    for name, fingerprint in needed["files"].items():
        file = settings.keys / name
        if not file.is_file():
            missing.append(f"{file} is missing")
        elif _fingerprint(file) != fingerprint:
            missing.append(f"{file} is another key than the one that was in use")
    if needed["master"]:
        missing += _missing_masters(settings, needed["master"])
    return missing


def _missing_masters(settings: Settings, needed: list[str]) -> list[str]:
    try:
        known = open_masters(settings.vault, settings.keys, first=False).known
    except Unavailable as error:
        return [str(error)]
    return [f"the master key with the fingerprint {each} is not the one that the settings name" for each in needed if each not in known]


def _fingerprint(file: Path) -> str:
    """Tell keys apart without telling them: they are random, so that nobody finds one by trying."""
    return hashlib.sha256(b"chartloop key file\x00" + file.read_bytes()).hexdigest()[:16]
