"""$meta-add and $meta-delete: profiles, tags and security labels of one resource, as an update of its meta alone.

Sensitivity labels live in the label tables: clients add them and never take one away. What changes nothing makes no version.
Spec: https://hl7.org/fhir/R4/resource-operation-meta-add.html, https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from chartloop.kernel.access.labels import LABELS, SYSTEM
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Forbidden, Unprocessable
from fhir_server.auditing import refusals_audited
from fhir_server.committing import commit
from fhir_server.interactions.update import next_version
from fhir_server.operations.meta_of import CODINGS, key_of, meta_shown
from fhir_server.preparing import labelling
from fhir_server.redaction import is_subsetted
from fhir_server.rows import Row, current, living, one_by_one
from fhir_server.store import Store, Written, acting, require
from fhir_server.validation.parsing import parse
from fhir_server.validation.resources import Validated
from fhir_server.writing import Batch

Meta = Mapping[str, Any]
Changed = Callable[[Meta, Meta], dict[str, Any]]
"""Meta of the resource and meta of the request to the next meta."""

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def meta_add(store: Store, scope: Scope, type_: str, id_: str, meta: Meta, *, if_match: int | None = None) -> tuple[Written, dict[str, Any]]:
    """Add profiles, tags and labels; return what was written and the meta as the writer sees it, empty where it is hidden."""
    return _change(store, scope, (type_, id_), meta, added, if_match)


def meta_delete(store: Store, scope: Scope, type_: str, id_: str, meta: Meta, *, if_match: int | None = None) -> tuple[Written, dict[str, Any]]:
    """Take profiles, tags and labels away that are there; sensitivity labels stay.

    Raises:
        Forbidden: A sensitivity label is named, whether or not the resource has it.
    """
    return _change(store, scope, (type_, id_), meta, taken, if_match)


def added(old: Meta, given: Meta) -> dict[str, Any]:
    """Return a meta with what is given and not there yet."""
    new = dict(old)
    profiles = list(dict.fromkeys((*old.get("profile", ()), *given.get("profile", ()))))
    if profiles:
        new["profile"] = profiles
    for name in CODINGS:
        there = {key_of(each): each for each in given.get(name, ())} | {key_of(each): each for each in old.get(name, ())}
        known = [key_of(each) for each in old.get(name, ())]
        if there:
            new[name] = [*old.get(name, ()), *(each for key, each in there.items() if key not in known)]
    return new


def taken(old: Meta, given: Meta) -> dict[str, Any]:
    """Return a meta without what is given."""
    new = dict(old)
    kept: dict[str, list[Any]] = {"profile": [each for each in old.get("profile", ()) if each not in given.get("profile", ())]}
    for name in CODINGS:
        gone = {key_of(each) for each in given.get(name, ())}
        kept[name] = [each for each in old.get(name, ()) if key_of(each) not in gone]
    for name, left in kept.items():
        new.pop(name, None)
        if left:
            new[name] = left
    return new


def _change(
    store: Store, scope: Scope, where: tuple[str, str], given: Meta, change: Changed, if_match: int | None
) -> tuple[Written, dict[str, Any]]:
    type_, id_ = where
    scope = acting(scope, "update")
    with refusals_audited(store, scope, f"{type_}/{id_}"):
        require(store, scope, type_)
        require(store, acting(scope, "read"), type_)
        if change is taken and any(each.get("system") == SYSTEM and each.get("code") in LABELS for each in given.get("security", ())):
            raise Forbidden("A sensitivity label is not taken away by a client.")
        if is_subsetted({"meta": given}):
            raise Unprocessable("SUBSETTED says that a resource is incomplete; what is stored is not.", expression="meta.tag")
        result: tuple[Written, dict[str, Any]] = commit(store, scope, partial(_prepare, store, scope, where, given, change, if_match), None)
    return result


def _prepare(store: Store, scope: Scope, where: tuple[str, str], given: Meta, change: Changed, if_match: int | None) -> Batch:
    with store.db.read() as session:
        row = _whole(store, acting(scope, "read"), session, *where)
        body = store.codec.unpack(row.codec, row.dict_id, row.packed, row.place)
        raw = _with_meta(body, change, given)
        validated = Validated(row.type, row.id, parse(raw))
        prepared, written = next_version(store, scope, one_by_one(session), row.id, validated, raw, if_match, labelling(store, session))
    labels = prepared.attributes.labels if prepared else row.labels
    meta = meta_shown(written.stored, labels) if written.stored.body else {}
    return Batch([prepared] if prepared else [], (written, meta), targets=() if prepared else [row.reference])


def _whole(store: Store, scope: Scope, session: Session, type_: str, id_: str) -> Row:
    """Find the row, for who may read all of it: the meta that is changed is a part of it."""
    row = living(current(session, type_, id_, store.access.row_filter(scope, type_)))
    if store.access.elements(scope, row.attributes()) is not None:
        raise Forbidden("Only a part of this resource is shown to you; its meta is not yours to change.")
    return row


def _with_meta(body: bytes, change: Changed, given: Meta) -> bytes:
    """Write the next meta into the bytes of a resource; every other value stays as it is."""
    fields = _FIELDS.decode(body)
    meta = change(msgspec.json.decode(fields["meta"]), given)
    fields["meta"] = msgspec.Raw(msgspec.json.encode(meta))
    return msgspec.json.encode(fields)
