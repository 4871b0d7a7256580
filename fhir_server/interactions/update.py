"""FHIR update interaction, with If-Match and If-None-Match: *, and update as create for those who may assign ids.

Spec: https://hl7.org/fhir/R4/http.html#update
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Forbidden, MethodNotAllowed, NotFound, PreconditionFailed
from fhir_server.absent import decide_on_nothing
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.preconditions import IfMatch, require_version
from fhir_server.preparing import encode, labelling, new_version, require_whole
from fhir_server.rows import Current, Row, one_by_one
from fhir_server.store import Also, Label, Store, Stored, Written, acting, require
from fhir_server.validation.resources import Validated, validate
from fhir_server.visible import after_write
from fhir_server.writing import Batch, Change

Refusal = Callable[[], ChartloopError]


def update(
    store: Store,
    scope: Scope,
    type_: str,
    id_: str,
    body: bytes | Mapping[str, Any],
    *,
    if_match: IfMatch = None,
    create_only: bool = False,
    also: Also | None = None,
) -> Written:
    """Store the next version; a body that says what the current version says makes none; if asked to, only create."""
    scope = acting(scope, "update")
    with refusals_audited(store, scope, f"{type_}/{id_}"):
        written: Written = commit(store, scope, updating(store, scope, type_, id_, body, if_match, create_only=create_only), also)
        return written


def updating(
    store: Store, scope: Scope, type_: str, id_: str, body: bytes | Mapping[str, Any], if_match: IfMatch, *, create_only: bool
) -> Callable[[], Batch]:
    """Judge what is to be stored; return what prepares it."""
    require_update(store, scope, type_)
    raw = encode(body)
    validated = validate(raw, type_=type_)
    require_whole(validated.resource, id_)
    return partial(_prepare, store, scope, validated, raw, if_match, there_already if create_only else None)


def there_already() -> ChartloopError:
    """Refuse a create-only update of what is there."""
    return PreconditionFailed("If-None-Match: * is for creating, and there is a resource already.")


def require_update(store: Store, scope: Scope, type_: str) -> None:
    """Refuse who may neither update nor assign ids on this type."""
    if not store.access.permits(acting(scope, "assign-id"), type_):
        require(store, scope, type_)


def _prepare(store: Store, scope: Scope, validated: Validated, raw: bytes, if_match: IfMatch, taken: Refusal | None) -> Batch:
    with store.db.read() as session:
        label = labelling(store, session)
        change, written = next_version(store, scope, one_by_one(session), validated.id, validated, raw, if_match, label, taken=taken)
    targets = [f"{written.stored.type}/{written.stored.id}"]
    return Batch([change], written) if change else Batch([], written, targets=targets)


def next_version(
    store: Store,
    scope: Scope,
    current: Current,
    id_: str,
    validated: Validated,
    raw: bytes,
    if_match: IfMatch,
    label: Label,
    *,
    taken: Refusal | None = None,
) -> tuple[Change | None, Written]:
    """Decide on the row before and after, and prepare the change; none if nothing changes.

    Args:
        store: The store.
        scope: Who updates or patches.
        current: Finds the current version.
        id_: Id of the resource; the body may leave it out.
        validated: What is to be stored.
        raw: The same as bytes.
        if_match: Versions that the current one must be among.
        label: Labels what is stored.
        taken: What to refuse with if the resource is there; None where it may be.
    """
    type_ = validated.type
    old = current(type_, id_)
    known = _updatable(store, scope, old, type_)
    if known and taken is not None:
        raise taken()
    require_version(if_match, old.version if old else 0, living=old is not None and not old.deleted)
    prepared = new_version(store, type_, id_, validated.resource, raw, old, label, assigned=False)
    if prepared is None and old is not None:
        body = store.codec.unpack(old.codec, old.dict_id, old.packed, old.place)
        kept = Stored(type_, id_, old.version, old.updated, body, redacted=False, deleted=False)
        seen = after_write(store, scope, kept, old.attributes())
        return None, Written(seen, created=False, changed=False, validated=validated)
    if prepared is None:
        raise NotFound
    change, stored = prepared
    if not store.access.decides(scope if known else acting(scope, "create"), change.attributes):
        raise Forbidden
    seen = after_write(store, scope, stored, change.attributes)
    return change, Written(seen, created=not known, changed=True, validated=validated, notes=change.notes)


def _updatable(store: Store, scope: Scope, old: Row | None, type_: str) -> bool:
    """Tell whether there is a resource that this subject may update, else whether one may be made under this id.

    Who may not assign ids learns nothing here: 405 whether or not the id exists.
    """
    if old is not None and not old.deleted and store.access.decides(scope, old.attributes()):
        return True
    seen = old is not None and store.access.decides(acting(scope, "read"), old.attributes())
    if old is not None and seen and not old.deleted:
        raise Forbidden
    if not store.access.permits(acting(scope, "assign-id"), type_):
        if old is None:
            decide_on_nothing(store, type_, scope, acting(scope, "read"))
        raise MethodNotAllowed("Ids are assigned by the server: create the resource with POST.")
    if old is not None and not seen:
        raise NotFound
    return False
