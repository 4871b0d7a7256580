"""Every stored version by name, to be found again in the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from chartloop.kernel.db import Session
from fhir_server.rows import version_place
from fhir_server.type_ids import TYPE_NAMES


def stored_versions(session: Session, since: int = 0) -> Iterator[str]:
    """Name every version that was stored at or after a microsecond as the audit log does: "Claim/1/_history/3"."""
    sql = "SELECT r.type_id, r.fhir_id, v.version FROM version v JOIN resource r ON r.rid = v.rid WHERE v.updated >= ? ORDER BY v.rid, v.version"
    rows = session.each(sql, (since,))
    for type_id, fhir_id, version in rows:
        yield version_place(TYPE_NAMES[type_id], fhir_id, version)
