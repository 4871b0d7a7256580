"""What a backup says of itself: a file that is written last, so that a backup without one is none."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from chartloop.backup.files import write_new
from chartloop.kernel.errors import Invalid

NAME: Final = "manifest.json"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup, and what must be at hand to use it.

    Attributes:
        made: When it was begun, as an instant.
        product: Version of Chartloop that made it.
        schema: Migration that the database was at.
        kind: sqlite or postgresql.
        tables: Rows of each table.
        resources: Current resources of each type.
        files: Size in bytes and SHA-256 of each file, by its path in the backup.
        audit: records (sealed ones), head (the last signed tree head, or null), public_key (hexadecimal).
        keys: files (fingerprint of each key file by name), master (fingerprints of the master keys that open what is sealed).
        left_out: What is kept elsewhere, in sentences.
    """

    made: str
    product: str
    schema: str
    kind: str
    tables: dict[str, int]
    resources: dict[str, int]
    files: dict[str, dict[str, Any]]
    audit: dict[str, Any]
    keys: dict[str, Any]
    left_out: list[str] = field(default_factory=list)
    format: int = FORMAT

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(int(each["size"]) for each in self.files.values())

    def write(self, directory: Path) -> str:
        """Write it; return its SHA-256, which who keeps it elsewhere can compare."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"
        write_new(directory / NAME, text)
        return hashlib.sha256(text).hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """Read what a backup says of itself.

    Raises:
        Invalid: This is no backup, one that did not end, or one of another format.
    """
    file = directory / NAME
    if not file.is_file():
        raise Invalid(f"{directory} is no backup: it has no {NAME}, which is written when a backup has ended.")
    try:
        found = json.loads(file.read_bytes())
        if found.get("format") == FORMAT:
            return Manifest(**found)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"{file} cannot be read: it was altered.") from None
    raise Invalid(f"{file} has a format that this release does not know: restore with the release that made it ({found.get('product', 'unknown')}).")
