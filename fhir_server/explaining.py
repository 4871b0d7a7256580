"""Why somebody sees a resource, or does not: the policies for and against it, what they looked at, and which elements they hide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from chartloop.kernel.access import element_paths
from chartloop.kernel.access.engine import View
from chartloop.kernel.access.explanation import Explanation
from chartloop.kernel.access.rows import EVERYTHING, RowFilter
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import NotFound
from fhir_server.auditing import record
from fhir_server.rows import Row, current
from fhir_server.store import Store, acting
from fhir_server.type_ids import TYPE_IDS

_ALWAYS = frozenset({"resourceType", "id", "meta.versionId", "meta.lastUpdated"})


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision on one stored resource.

    Attributes:
        reference: Type/id.
        action: Interaction that was asked about.
        why: The decision and its reasons.
        labels: Sensitivity labels of the row.
        patient: Whose chart it is in, "" for nobody's.
        hidden: Element paths of this resource that are not shown; of a denied one, none is named.
        hidden_by: Names of the policies whose allow-lists hide them.
    """

    reference: str
    action: str
    why: Explanation
    labels: tuple[str, ...]
    patient: str
    hidden: tuple[str, ...]
    hidden_by: tuple[str, ...]


def why(store: Store, scope: Scope, type_: str, id_: str) -> tuple[View, ...]:
    """Return the policies that let this reader see a resource, and what each shows of it; none where there is nothing to see.

    It belongs to a read, which was audited.
    """
    reading = acting(scope, "read")
    row = _found(store, type_, id_, store.access.row_filter(reading, type_)) if type_ in TYPE_IDS else None
    return () if row is None else store.access.views(reading, row.attributes())


def explain_any(store: Store, scope: Scope, type_: str, id_: str, asking: Scope) -> Explained:
    """Explain to whoever holds the data directory what somebody else may; recorded as theirs.

    Raises:
        NotFound: There is no such resource at all.
    """
    row = _found(store, type_, id_, EVERYTHING) if type_ in TYPE_IDS else None
    if row is None:
        raise NotFound
    found = _explained(store, scope, row)
    store.audit.access(record(acting(asking, "read"), (found.reference,), (found.patient,), query="explain"))
    return found


def _found(store: Store, type_: str, id_: str, row_filter: RowFilter) -> Row | None:
    row = current(store.db, type_, id_, row_filter)
    return None if row is None or row.deleted else row


def _explained(store: Store, scope: Scope, row: Row) -> Explained:
    reached = current(store.db, row.type, row.id, store.access.scope_filter(scope, row.type)) is not None
    why = store.access.reasons(scope, row.attributes(), reached=reached)
    hidden: tuple[str, ...] = ()
    if why.permitted and why.elements is not None:
        body: dict[str, Any] = msgspec.json.decode(store.codec.unpack(row.codec, row.dict_id, row.packed, row.place))
        hidden = tuple(_hidden(frozenset(why.elements), body))
    by = tuple(name for name, listed in why.permits if listed) if hidden else ()
    return Explained(row.reference, scope.action, why, tuple(sorted(row.labels)), row.patient, hidden, by)


def _hidden(allowed: frozenset[str], body: dict[str, Any]) -> Iterable[str]:
    """Paths that are hidden, the highest of each: an element of which nothing is shown stands for all under it."""
    return sorted({path for name, value in body.items() for path in _under(allowed, value, name)})


def _under(allowed: frozenset[str], value: object, path: str) -> Iterator[str]:
    if path in _ALWAYS or element_paths.shows(allowed, path):
        if isinstance(value, dict | list):
            yield from (each for each in _unnamed(value, path) if each not in allowed)
    elif isinstance(value, list):
        for item in value:
            yield from _under(allowed, item, path)
    elif isinstance(value, dict) and any(each.startswith(f"{path}.") for each in (*allowed, *_ALWAYS)):
        for name, inner in value.items():
            yield from _under(allowed, inner, f"{path}.{name}")
    else:
        yield path


def _unnamed(value: object, path: str) -> Iterator[str]:
    """What is hidden below an element that is shown: extensions, contained resources, ids, siblings of primitives."""
    if isinstance(value, list):
        for item in value:
            yield from _unnamed(item, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in element_paths.UNNAMED or name.startswith("_"):
                yield f"{path}.{name}"
            else:
                yield from _unnamed(inner, f"{path}.{name}")
