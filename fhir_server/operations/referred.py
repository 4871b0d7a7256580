"""What a set of resources refers to outside itself, as the reader sees them: the bytes are scanned, not parsed.

Spec: https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from fhir_server.hashing import SEQUENCE_MASK
from fhir_server.indexing.values import split_reference
from fhir_server.references import references_in
from fhir_server.rows import CHUNK
from fhir_server.search.conditions import Condition
from fhir_server.store import Store, Stored
from fhir_server.type_filters import readable
from fhir_server.type_ids import TYPE_IDS

# In stored bytes, which are compact, a quote inside a string has a backslash before it: this is a property and its value.
_REFERENCE: Final = re.compile(rb'"reference":"([^"#\\][^"\\]*)"')


Target = tuple[str, str]
"""Type and id."""


def referred(
    session: Session, store: Store, scope: Scope, targets: Iterable[Target], patient: str, narrowed: Condition, snapshot: int
) -> list[int]:
    """Find the rids of what is referred to, in order.

    Args:
        session: A session with the snapshot of the page.
        store: The store.
        scope: Who asks, acting as a search.
        targets: What is referred to.
        patient: "Patient/1"; what is in the chart of another patient stays out.
        narrowed: A further condition over alias r.
        snapshot: Nothing that was made later.
    """
    wanted: dict[str, list[str]] = {}
    for type_, id_ in sorted(targets):
        wanted.setdefault(type_, []).append(id_)
    rids: list[int] = []
    for type_, ids in wanted.items():
        seen = readable(store, scope, [type_])
        if seen is None:
            continue
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            sql = (
                f"SELECT r.rid FROM resource r WHERE r.type_id = ? AND r.deleted = 0 AND r.fhir_id IN ({', '.join('?' * len(part))}) "
                f"AND r.patient IN ('', ?) AND {seen.sql} AND {narrowed.sql} AND (r.rid & {SEQUENCE_MASK}) <= ?"
            )
            params = (TYPE_IDS[type_], *part, patient, *seen.params, *narrowed.params, snapshot)
            rids += [int(row[0]) for row in session.all(sql, params)]
    return sorted(rids)


def targets_in(store: Store, shown: Iterable[Stored]) -> set[Target]:
    """Collect every resource of this server that some resources refer to, as this reader sees them."""
    texts: set[bytes] = set()
    for stored in shown:
        body = stored.body
        if b"\\u" in body or b"\\/" in body:  # a name or a reference may be written with escapes
            texts.update(text.encode() for _, text in references_in(msgspec.json.decode(body)))
        else:
            texts.update(_REFERENCE.findall(body))
    return {target for text in texts if (target := _target(text.decode(), store.base))}


@lru_cache(maxsize=65_536)
def _target(text: str, base: str) -> Target | None:
    foreign, type_, id_ = split_reference(text)
    return (type_, id_) if id_ and foreign in ("", base) and type_ in TYPE_IDS else None
