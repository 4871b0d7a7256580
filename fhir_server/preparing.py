"""A validated resource becomes a change: attributes, labels, index rows and the bytes that will be stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chartloop.kernel import clock
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid, Unprocessable
from fhir_server.attributes import row_attributes
from fhir_server.codec import PLAIN, Packed
from fhir_server.compartments import patient_among
from fhir_server.defining import TYPE, definitions
from fhir_server.granting.belonging import speaks_of
from fhir_server.granting.deriving import NO_GRANTS, SOURCES, derived
from fhir_server.hashing import value_hash
from fhir_server.indexing.extraction import IndexValues, extracted
from fhir_server.indexing.rows import INHERITS, NO_ROWS, IndexRows, index_rows
from fhir_server.indexing.text_words import text_words
from fhir_server.indexing.values import split_reference
from fhir_server.redaction import is_subsetted
from fhir_server.rows import DELETE, POST, PUT, Row, labels_of, version_place
from fhir_server.splice import splice, without_labels, without_version
from fhir_server.store import Label, LabelsOf, Store, Stored
from fhir_server.writing import Change

_NOTHING: Final[frozenset[str]] = frozenset()
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(body: bytes | Mapping[str, Any]) -> bytes:
    """Return the bytes of a resource given as bytes or as a parsed object; decimals stay numbers."""
    return body if isinstance(body, bytes) else _ENCODER.encode(body)


def rows_of(store: Store, type_: str, resource: Mapping[str, Any]) -> IndexRows:
    """Extract the index rows of a parsed resource, and of what it takes labels over from."""
    return _rows(store, type_, resource, _values(store, type_, resource), inherited(store, type_, resource))


def _values(store: Store, type_: str, resource: Mapping[str, Any]) -> IndexValues:
    return extracted(type_, resource, store.base, store.parameters.now.extractor(type_))


def _rows(store: Store, type_: str, resource: Mapping[str, Any], values: IndexValues, heritage: frozenset[str]) -> IndexRows:
    found = index_rows(type_, values)
    if store.full_text:
        found = found._replace(text=text_words(resource))
    if not heritage:
        return found
    return found._replace(reference=found.reference | {(INHERITS, value_hash(reference), 0) for reference in heritage})


def inherited(store: Store, type_: str, resource: Mapping[str, Any]) -> frozenset[str]:
    """The resources ("Type/id") of this server that a resource takes labels over from."""
    references = store.labeller.inherited_references(type_, resource)
    if not references:
        return _NOTHING
    found = map(split_reference, references)
    return frozenset(f"{named}/{id_}" for base, named, id_ in found if id_ and base in ("", store.base))


def stored_rows(store: Store, row: Row) -> tuple[bytes, IndexRows]:
    """Return a stored version's body and the index rows it has."""
    if row.deleted:
        return b"", NO_ROWS
    body = store.codec.unpack(row.codec, row.dict_id, row.packed, row.place)
    return body, rows_of(store, row.type, msgspec.json.decode(body))


def lookup(store: Store, session: Session) -> LabelsOf:
    """Look labels of stored resources up, by relative references or those below our own base."""
    prefix = store.base + "/"
    return lambda reference: labels_of(session, reference.removeprefix(prefix))


def labelling_alone(store: Store) -> Label:
    """Label resources like `labelling`, and open the store only for those that refer to something."""

    def stored(reference: str) -> frozenset[str]:
        with store.db.read() as session:
            return lookup(store, session)(reference)

    return lambda type_, resource: store.labeller.labels(type_, resource, stored)


def labelling(store: Store, session: Session) -> Label:
    """Label resources by themselves and by what is stored."""
    stored = lookup(store, session)
    return lambda type_, resource: store.labeller.labels(type_, resource, stored)


def new_version(
    store: Store,
    type_: str,
    id_: str,
    parsed: Mapping[str, Any],
    body: bytes,
    old: Row | None,
    label: Label,
    *,
    assigned: bool,
) -> tuple[Change, Stored] | None:
    """Prepare the next version of a resource; None if it says what the current one says."""
    resource = {**parsed, "id": id_}
    old_body, old_rows = stored_rows(store, old) if old is not None else (b"", NO_ROWS)
    version = old.version + 1 if old else 1
    updated = max(clock.now_us(), old.updated + 1 if old else 0)
    final = splice(body, id_=id_, version=version, updated=updated)
    old_labels = old.labels if old else frozenset()
    labels = label(type_, resource) | old_labels
    # Labels are not in the stored bytes: one that is new is a change, even if it is the only one.
    if old_body and labels == old_labels and without_version(final) == without_version(old_body):
        return None
    unlabelled = without_labels(resource)
    values, heritage = _values(store, type_, unlabelled), inherited(store, type_, resource)
    attributes = row_attributes(type_, resource, labels, patient_among(type_, id_, values.references), store.base)
    change = Change(
        type=type_,
        id=id_,
        rid=old.rid if old else 0,
        version=version,
        updated=updated,
        method=POST if assigned else PUT,
        packed=store.codec.pack(final, version_place(type_, id_, version), attributes.patient),
        attributes=attributes,
        rows=_rows(store, type_, unlabelled, values, heritage),
        old_rows=old_rows,
        old_labels=old_labels,
        assigned=assigned,
        inherited=heritage,
        defines=definitions(store.parameters.now, id_, resource) if type_ == TYPE else (),
        grants=derived(store, type_, resource, attributes),
        speaks_of=speaks_of(type_, resource, store.base),
    )
    return change, Stored(type_, id_, version, updated, final, redacted=False, deleted=False)


def deletion(store: Store, old: Row) -> tuple[Change, Stored]:
    """Prepare the version that says a resource is deleted; its attributes and labels stay, for the history."""
    updated = max(clock.now_us(), old.updated + 1)
    change = Change(
        type=old.type,
        id=old.id,
        rid=old.rid,
        version=old.version + 1,
        updated=updated,
        method=DELETE,
        packed=Packed(PLAIN, 0, b""),
        attributes=old.attributes(),
        rows=NO_ROWS,
        old_rows=stored_rows(store, old)[1],
        old_labels=old.labels,
        grants=NO_GRANTS if old.type in SOURCES else None,
    )
    return change, Stored(old.type, old.id, old.version + 1, updated, b"", redacted=False, deleted=True)


def require_whole(resource: Mapping[str, Any], id_: str) -> None:
    """Refuse an update whose body names another resource than its address, or says that it is incomplete."""
    type_ = resource.get("resourceType")
    if resource.get("id") != id_:
        raise Invalid("The body's id must be the id in the address.", expression=f"{type_}.id")
    require_complete(resource)


def require_complete(resource: Mapping[str, Any]) -> None:
    """Refuse a body that says that it is incomplete."""
    if is_subsetted(resource):
        raise Unprocessable("This is a part of a resource; storing it would wipe the rest.", expression=f"{resource.get('resourceType')}.meta.tag")
