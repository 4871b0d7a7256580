"""What one reader sees of a row: the body, whole or redacted."""

from __future__ import annotations

from collections.abc import Iterable

from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.vault.vault import Destroyed
from fhir_server.redaction import redact
from fhir_server.rows import DELETE, METHODS, Row
from fhir_server.store import Store, Stored, acting


def visible(store: Store, scope: Scope, row: Row) -> Stored:
    """Unpack a row that passed the row filter, and hide what this reader may not see of it; Gone where its key was destroyed."""
    return _seen(store, row, None if row.deleted else store.access.shown(scope, row.attributes()))


def all_visible(store: Store, scope: Scope, rows: Iterable[Row]) -> list[Stored]:
    """Do the same for many rows; those that no policy can tell apart share one decision, and one whose key was destroyed is shown as deleted."""
    decided: dict[tuple[object, ...], frozenset[str] | None] = {}
    page: list[Stored] = []
    found = list(rows)
    known = store.access.known(scope, [row.attributes() for row in found])
    for row in found:
        # A grant may name one resource.
        alike = (row.type_id, row.labels, row.patient, row.owner, row.insurer, row.id if known else "")
        if alike not in decided:
            decided[alike] = store.access.shown(scope, row.attributes(), known)
        try:
            page.append(_seen(store, row, decided[alike]))
        except Destroyed:
            page.append(_stored(row._replace(method=DELETE), b"", redacted=False))
    return page


def _seen(store: Store, row: Row, shown: frozenset[str] | None) -> Stored:
    if row.deleted:
        return _stored(row, b"", redacted=False)
    body = store.codec.unpack(row.codec, row.dict_id, row.packed, row.place)
    if shown is None:
        return _stored(row, body, redacted=False)
    return _stored(row, redact(body, shown), redacted=True)


def _stored(row: Row, body: bytes, *, redacted: bool) -> Stored:
    return Stored(row.type, row.id, row.version, row.updated, body, redacted, row.deleted, METHODS[row.method])


def after_write(store: Store, scope: Scope, stored: Stored, attributes: RowAttributes) -> Stored:
    """Show the writer what was written, as far as the writer may read it."""
    reading = acting(scope, "read")
    if stored.deleted:
        return stored
    if not store.access.decides(reading, attributes):
        return stored._replace(body=b"", redacted=True)
    shown = store.access.elements(reading, attributes)
    return stored if shown is None else stored._replace(body=redact(stored.body, shown), redacted=True)
