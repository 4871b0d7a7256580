"""Every stored version by name, to be found again in the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from chartloop.kernel.db import Session
from fhir_server.rows import version_place
from fhir_server.type_ids import TYPE_NAMES


def stored_versions(session: Session) -> Iterator[str]:
    """Name every stored version as the audit log does: "Claim/1/_history/3"."""
    rows = session.each("SELECT r.type_id, r.fhir_id, v.version FROM version v JOIN resource r ON r.rid = v.rid ORDER BY v.rid, v.version")
    for type_id, fhir_id, version in rows:
        yield version_place(TYPE_NAMES[type_id], fhir_id, version)
