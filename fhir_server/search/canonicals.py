"""Canonical addresses and the conformance resources that have them: `url` names any version, `url|version` one.

Of several resources with one address and no version asked for, the one that was stored last stands for it.
Spec: https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from fhir_server.hashing import value_hash
from fhir_server.rows import CHUNK, Row, by_rids
from fhir_server.search.params import for_type
from fhir_server.store import Store, Stored
from fhir_server.visible import all_visible

Address = tuple[str, str]
"""Address and version, which may be empty."""


def split_canonical(text: str) -> Address:
    """Take a canonical apart; what comes after a # is inside the resource."""
    url, _, version = text.partition("#")[0].partition("|")
    return url, version


def named_in(texts: Iterable[str]) -> set[Address]:
    """Read the canonicals that were extracted from one resource: beside one with a version stands its address alone."""
    found = {split_canonical(text) for text in texts}
    versioned = {url for url, version in found if version}
    return {(url, version) for url, version in found if version or url not in versioned}


def address_of(stored: Stored) -> Address:
    """Return the address of a conformance resource as its reader sees it; empty where it has none."""
    body = stored.json() if "url" in for_type(stored.type) else {}
    url, version = body.get("url", ""), body.get("version", "")
    return (url, version) if isinstance(url, str) and isinstance(version, str) else ("", "")


def with_canonicals(session: Session, store: Store, scope: Scope, type_: str, wanted: Collection[Address]) -> Iterator[Row]:
    """Yield the resources of a type that some addresses name; none where the address is hidden from this reader."""
    param = for_type(type_)["url"]
    if not store.access.searchable(scope, type_, param.paths):
        return
    rows = _rows(session, store, scope, type_, sorted({value_hash(url) for url, _ in wanted}))
    addresses = [(address_of(stored), row) for row, stored in zip(rows, all_visible(store, scope, rows), strict=True)]
    for url, version in wanted:
        named = [row for (mine, its), row in addresses if mine == url and version in ("", its)]
        yield from named if version else named[:1]


def _rows(session: Session, store: Store, scope: Scope, type_: str, hashes: Sequence[int]) -> list[Row]:
    """Find the rows with some addresses, the one that was stored last first."""
    row_filter = store.access.row_filter(scope, type_)
    found: dict[int, Row] = {}
    for start in range(0, len(hashes), CHUNK):
        part = hashes[start : start + CHUNK]
        sql = (
            "SELECT d.rid FROM idx_token d CROSS JOIN resource r WHERE r.rid = d.rid AND r.deleted = 0 AND d.param = ? "
            f"AND d.value IN ({', '.join('?' * len(part))}) AND ({row_filter.sql.replace('{r}', 'r')}) LIMIT ?"
        )
        rids = [int(row[0]) for row in session.all(sql, (for_type(type_)["url"].id, *part, *row_filter.params, 2 * CHUNK))]
        found.update(by_rids(session, rids))
    return sorted(found.values(), key=lambda row: (-row.updated, row.rid))
