"""Reading resources for the bridge: through the door as the omop engine, decimals as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Gone, NotFound
from fhir_server.repository import Repository
from fhir_server.store import Stored
from omop_bridge.deriving import Seen
from omop_bridge.lineage import Reference

_DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def parse(body: bytes) -> Mapping[str, Any]:
    """Parse a stored body: 72.50 stays 72.50."""
    parsed: Mapping[str, Any] = _DECODER.decode(body)
    return parsed


def seen(stored: Stored) -> Seen:
    """A stored resource as the bridge takes it."""
    return Seen(Reference(stored.type, stored.id), stored.version, parse(stored.body))


class Reader:
    """Reads single resources as they are now."""

    def __init__(self, repository: Repository, scope: Scope) -> None:
        """Take the door, and who reads."""
        self._repository, self._scope = repository, scope

    def __call__(self, reference: Reference) -> Seen:
        """Read one; what is deleted, labelled since or not for this reader is not there."""
        try:
            return seen(self._repository.read(self._scope, reference.type, reference.id))
        except (NotFound, Gone, Forbidden):
            return Seen(reference, 0, None)
