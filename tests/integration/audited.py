"""What the audit log recorded of changes, opened."""

from __future__ import annotations

import json
from typing import Any

from chartloop.kernel.audit.record import opened
from chartloop.kernel.db import Database


def recorded_changes(db: Database) -> list[dict[str, Any]]:
    """Every record of a change, in the order they were made."""
    with db.read() as session:
        rows = session.all("SELECT codec, body FROM audit_change ORDER BY seq")
        return [json.loads(opened(int(codec), bytes(body), session.columns.vault)) for codec, body in rows]
