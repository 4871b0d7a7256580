"""Find the notes behind training examples again, for whoever the policy lets read them."""

from __future__ import annotations

from collections.abc import Iterator

from chartloop.kernel.access.scope import Scope
from claims.coding.examples import note_key
from fhir_server.repository import Repository
from fhir_server.store import Stored


def resolve(repository: Repository, scope: Scope, secret: bytes, keys: frozenset[str]) -> Iterator[tuple[str, Stored]]:
    """Yield (key, note) for the notes that the scope may read; one audit record covers the walk."""
    for stored in repository.stream(scope, ["DocumentReference"]):
        key = note_key(secret, f"{stored.type}/{stored.id}")
        if key in keys:
            yield key, stored
