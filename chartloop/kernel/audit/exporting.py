"""The sealed log as one file for somebody outside: records, heads, public key, and the program that checks them.

The file is a zip that Python runs: `python FILE HEADS` needs nothing but the file and tree heads that were kept elsewhere.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from chartloop.kernel import clock
from chartloop.kernel.audit import merkle, outside
from chartloop.kernel.audit.heads import TreeHead
from chartloop.kernel.audit.outside import HASH_ALONE
from chartloop.kernel.audit.reading import record_bytes
from chartloop.kernel.audit.sealer import HEAD_COLUMNS
from chartloop.kernel.audit.segment import frame
from chartloop.kernel.db_session import Session
from chartloop.kernel.errors import Conflict, NotFound

_PART: Final = 1_000
_READ_ME: Final = """The audit log of a Chartloop server, as it was sealed.

records.bin  every record in the order of the log, as stored: length (4 bytes, little endian), CRC-32 (4), codec (1), body;
             codec 255 holds the hash of a record whose bytes are gone (retention) in place of a body;
             codec 1 is sealed by the server's vault: its hash is checked here, its words are read there (`chartloop audit show`)
heads.jsonl  the signed tree heads, one a line; each names the hash of the one before
public.key   the log's Ed25519 public key, hex

To check it: python THIS_FILE TRUSTED_HEADS.jsonl
The trusted heads are those that you kept, or that were written to a place which the operator cannot change.
"""


class Exported(NamedTuple):
    """What is about to leave."""

    size: int
    patients: tuple[str, ...]


def about_to_export(session: Session) -> Exported:
    """Say how many records are sealed, and whom they concern, for the record of the export.

    Raises:
        NotFound: Nothing is sealed yet.
    """
    row = session.one("SELECT max(size) FROM audit_head")
    if row is None or row[0] is None:
        raise NotFound("Nothing is sealed yet.")
    patients = session.all("SELECT DISTINCT patient FROM audit_patient WHERE seq <= ? ORDER BY patient", (row[0],))
    return Exported(int(row[0]), tuple(str(patient) for (patient,) in patients))


def export(session: Session, directory: Path, file: Path, size: int, key: str) -> None:
    """Write the log up to a head into a new file, for its owner's eyes alone.

    Raises:
        Conflict: The file is there already.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict("This file is there already; nothing was written.") from None
    with os.fdopen(handle, "wb") as opened, zipfile.ZipFile(opened, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("README.txt", _READ_ME)
        packed.writestr("manifest.json", msgspec.json.encode({"log": "chartloop-audit", "records": size, "made": clock.iso(clock.now_us())}))
        packed.writestr("public.key", key)
        packed.writestr("merkle.py", Path(merkle.__file__).read_text("utf-8"))
        packed.writestr("__main__.py", Path(outside.__file__).read_text("utf-8"))
        with packed.open("heads.jsonl", "w") as lines:
            for row in session.each(f"SELECT {HEAD_COLUMNS} FROM audit_head WHERE size <= ? ORDER BY size", (size,)):
                lines.write(f"{TreeHead(*row).line()}\n".encode())
        with packed.open("records.bin", "w", force_zip64=True) as records:
            _write_records(session, directory, records, size)


def _write_records(session: Session, directory: Path, records: IO[bytes], size: int) -> None:
    for framed in _framed(session, directory, size):
        records.write(framed)


def _framed(session: Session, directory: Path, size: int) -> Iterator[bytes]:
    for start in range(0, size, _PART):
        rows = session.all("SELECT seq, source, position, leaf FROM audit_leaf WHERE seq > ? AND seq <= ? ORDER BY seq", (start, min(start + _PART, size)))
        bodies = record_bytes(session, directory, [row[:3] for row in rows])
        for seq, _, _, leaf in rows:
            stored = bodies.get(int(seq))
            yield frame(bytes(leaf), HASH_ALONE) if stored is None else frame(stored[1], stored[0])
