"""FHIR create interaction, with If-None-Exist.

Spec: https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from chartloop.kernel import ids
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session, Tx
from chartloop.kernel.errors import Forbidden
from fhir_server import rows
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.matching import criteria, lock, lock_key, matches, single
from fhir_server.preparing import encode, labelling_alone, new_version
from fhir_server.search.tree import Query
from fhir_server.store import Also, Label, Store, Written, acting, require
from fhir_server.validation.resources import Validated, validate
from fhir_server.visible import after_write, visible
from fhir_server.writing import Batch, Change, Stale


def create(
    store: Store,
    scope: Scope,
    body: bytes | Mapping[str, Any],
    *,
    type_: str | None = None,
    if_none_exist: str = "",
    also: Also | None = None,
) -> Written:
    """Store a new resource under an id of the server's making; with criteria, only if nothing matches them."""
    scope = acting(scope, "create")
    with refusals_audited(store, scope, type_ or ""):
        prepare, _ = creation(store, scope, body, type_, if_none_exist)
        written: Written = commit(store, scope, prepare, also)
        return written


def creation(
    store: Store, scope: Scope, body: bytes | Mapping[str, Any], type_: str | None, if_none_exist: str
) -> tuple[Callable[[], Batch], Query | None]:
    """Judge what is to be created; return what prepares it, and the condition that nothing may match."""
    if type_ is not None:
        require(store, scope, type_)
    raw = encode(body)
    validated = validate(raw, type_=type_)
    require(store, scope, validated.type)
    query = criteria(store, scope, validated.type, if_none_exist) if if_none_exist else None
    return partial(_prepare, store, scope, validated, raw, query), query


def _prepare(store: Store, scope: Scope, validated: Validated, raw: bytes, query: Query | None) -> Batch:
    if query is not None:
        with store.db.read() as session:
            if (rid := single(session, store, scope, query)) is not None:
                return _existing(store, scope, session, rid)
    change, written = first_version(store, scope, validated, raw, ids.public_id(), labelling_alone(store))
    return Batch([change], written, verify=partial(_verify, store, scope, query) if query else None)


def first_version(store: Store, scope: Scope, validated: Validated, raw: bytes, id_: str, label: Label) -> tuple[Change, Written]:
    """Decide on the row as it will be, and prepare the change."""
    prepared = new_version(store, validated.type, id_, validated.resource, raw, None, label, assigned=True)
    if prepared is None:
        raise Stale
    change, stored = prepared
    if not store.access.decides(scope, change.attributes):
        raise Forbidden
    seen = after_write(store, scope, stored, change.attributes)
    return change, Written(seen, created=True, changed=True, validated=validated, notes=change.notes)


def _existing(store: Store, scope: Scope, session: Session, rid: int) -> Batch:
    row = rows.by_rids(session, [rid])[rid]
    stored = visible(store, acting(scope, "search"), row)
    return Batch([], Written(stored, created=False, changed=False), targets=[row.reference])


def _verify(store: Store, scope: Scope, query: Query, tx: Tx) -> None:
    lock(tx, [lock_key(query)])
    if matches(tx, store, scope, query):
        raise Stale
