"""$meta: profiles, tags and security labels of a resource, of a type or of the whole system, as the reader may see them.

Spec: https://hl7.org/fhir/R4/resource-operation-meta.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from chartloop.kernel.access.labels import SYSTEM
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.auditing import record, refusals_audited
from fhir_server.rows import Row, at_version, by_rids, current, living
from fhir_server.search.params import for_type
from fhir_server.store import Store, Stored, acting, require
from fhir_server.type_filters import readable
from fhir_server.type_ids import TYPE_IDS
from fhir_server.visible import all_visible, visible

CODINGS: Final = ("security", "tag")
_MOST: Final = 1000
"""Most different index values of one kind that a summary is made of."""


def meta_of(store: Store, scope: Scope, type_: str = "", id_: str = "", version: int | None = None) -> dict[str, Any]:
    """Return a Meta, after the audit record of it is durable."""
    operating = acting(scope, "operation")
    place = "/".join(part for part in (type_, id_, *(() if version is None else ("_history", str(version))), "$meta") if part)
    with refusals_audited(store, operating, place):
        if type_:
            require(store, acting(scope, "vread" if version is not None else "read" if id_ else "search"), type_)
        if not id_:
            found, rows = _summary(store, acting(scope, "search"), [type_] if type_ else list(TYPE_IDS))
        else:
            reading = acting(scope, "read" if version is None else "vread")
            row = _current(store, reading, type_, id_) if version is None else _version(store, reading, type_, id_, version)
            found, rows = meta_shown(visible(store, reading, row), row.labels), [row]
    targets = [f"{row.reference}/_history/{row.version}" for row in rows]
    store.audit.access(record(operating, targets or [place], (row.patient for row in rows)))
    return found


def meta_shown(stored: Stored, labels: Iterable[str]) -> dict[str, Any]:
    """Return the meta of a body as it is shown; its sensitivity labels with it where the reader sees all of the body."""
    meta = dict(stored.json().get("meta", {}))
    known = sorted(labels)
    if known and not stored.redacted:
        meta["security"] = [*meta.get("security", ()), *({"system": SYSTEM, "code": code} for code in known)]
    return meta


def key_of(coding: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what makes a tag or a label the same: system and code, whatever is displayed."""
    return coding.get("system"), coding.get("code")


def _current(store: Store, scope: Scope, type_: str, id_: str) -> Row:
    return living(current(store.db, type_, id_, store.access.row_filter(scope, type_)))


def _version(store: Store, scope: Scope, type_: str, id_: str, version: int) -> Row:
    with store.db.read() as session:
        row = at_version(session, type_, id_, version, store.access.row_filter(scope, type_, version_labels=True))
    return living(row)


def _summary(store: Store, scope: Scope, types: Sequence[str]) -> tuple[dict[str, Any], list[Row]]:
    """Unite the profiles, tags and labels in use: one resource that the reader sees stands for each value."""
    meta: dict[str, Any] = {}
    rows: dict[int, Row] = {}
    with store.db.read(snapshot=True) as session:
        for name, code in (("profile", "_profile"), ("security", "_security"), ("tag", "_tag")):
            found = by_rids(session, _representatives(session, store, scope, types, name, code))
            values: dict[Any, Any] = {}
            for stored in all_visible(store, scope, found.values()):
                for each in stored.json().get("meta", {}).get(name, ()):
                    values.setdefault(each if name == "profile" else key_of(each), each)
            if values:
                meta[name] = [values[key] for key in sorted(values, key=str)]
            rows.update(found)
    return meta, list(rows.values())


def _representatives(session: Session, store: Store, scope: Scope, types: Sequence[str], name: str, code: str) -> list[int]:
    """Find one visible row for each value; a type that hides the element from some reader tells this one nothing."""
    params = {type_: param for type_ in types if (param := for_type(type_).get(code))}
    shown = [type_ for type_ in params if store.access.permits(scope, type_) and store.access.searchable(scope, type_, (f"meta.{name}",))]
    seen = readable(store, scope, shown)
    if seen is None:
        return []
    numbers = ", ".join(str(params[type_].id) for type_ in shown)
    sql = (
        "SELECT MIN(r.rid) FROM idx_token d CROSS JOIN resource r WHERE r.rid = d.rid AND r.deleted = 0 "
        f"AND d.param IN ({numbers}) AND {seen.sql} GROUP BY d.value ORDER BY 1 LIMIT ?"
    )
    found = session.all(sql, (*seen.params, _MOST + 1))
    if len(found) > _MOST:
        raise Invalid(f"More than {_MOST} different values of meta.{name} are in use; ask for one type or search.", code="too-costly")
    return sorted({int(row[0]) for row in found})
