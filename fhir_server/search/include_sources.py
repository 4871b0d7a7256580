"""What refers to some resources: by their type and id, or by their canonical address, with their version or without.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.hashing import value_hash
from fhir_server.indexing.extraction import extract
from fhir_server.rows import CHUNK, Row, by_rids
from fhir_server.search.canonicals import Address, address_of, named_in
from fhir_server.search.params import SearchParam, holds_references
from fhir_server.search.several import SEARCHED
from fhir_server.search.tree import Include
from fhir_server.store import Store, Stored
from fhir_server.visible import visible

MAX_SOURCES: Final = 1000
"""Most resources that refer to those of one round, by one `_revinclude`."""

MAX_LINKS: Final = 5_000
"""Most of their references."""


class _Edge:
    """What is referred to: hashes of references and of addresses, by type."""

    def __init__(self, edge: Iterable[tuple[Row, Stored]]) -> None:
        self.references: dict[str, list[int]] = {}
        self.addresses: dict[str, list[Address]] = {}
        for row, stored in edge:
            self.references.setdefault(row.type, []).append(value_hash(row.reference))
            if (address := address_of(stored))[0]:
                self.addresses.setdefault(row.type, []).append(address)


def sources(session: Session, store: Store, scope: Scope, includes: Sequence[Include], edge: Sequence[tuple[Row, Stored]]) -> Iterator[Row]:
    """Yield what refers to some resources and this reader may see; hidden references lead nowhere.

    Raises:
        Invalid: There are more than MAX_SOURCES, or more than MAX_LINKS references.
    """
    if not includes:
        return
    there = _Edge(edge)
    for include in includes:
        for type_ in [include.source] if include.source else SEARCHED:
            yield from _of_type(session, store, scope, type_, include, there)


def _of_type(session: Session, store: Store, scope: Scope, type_: str, include: Include, there: _Edge) -> Iterator[Row]:
    params = [include.param] if include.param else [param for param in store.parameters.now(type_).values() if param.type == "reference"]
    shown = [param for param in params if store.access.searchable(scope, type_, param.paths)] if store.access.permits(scope, type_) else []
    plain = [param for param in shown if holds_references(type_, param)]
    hashes = [each for target, those in there.references.items() if include.target in ("", target) for each in those]
    yield from _rows(session, store, scope, type_, _leading(plain, there.references, include.target), hashes)
    canonical = _leading([param for param in shown if param not in plain], there.addresses, include.target)
    addresses = {each for target, those in there.addresses.items() if include.target in ("", target) for each in those}
    for row in _rows(session, store, scope, type_, canonical, sorted({value_hash(url) for url, _ in addresses})):
        if _names(store, visible(store, scope, row), canonical, addresses):
            yield row


def _leading(params: Sequence[SearchParam], types: Iterable[str], target: str) -> list[SearchParam]:
    """Keep the parameters that may lead to one of some types."""
    wanted = {each for each in types if target in ("", each)}
    return [param for param in params if wanted and (not param.targets or wanted.intersection(param.targets))]


def _names(store: Store, stored: Stored, params: Sequence[SearchParam], addresses: Iterable[Address]) -> bool:
    """Whether a resource names one of some addresses, its version or none."""
    numbers = {param.id for param in params}
    found = extract(stored.type, msgspec.json.decode(stored.body), base=store.base).references
    named = named_in(text for number, _, _, text in found if number in numbers)
    return any((url, "") in named or (url, version) in named for url, version in addresses)


def _rows(session: Session, store: Store, scope: Scope, type_: str, params: Sequence[SearchParam], hashes: Sequence[int]) -> list[Row]:
    """Find the rows of a type with some references, in the order of their dates."""
    if not params:
        return []
    row_filter = store.access.row_filter(scope, type_)
    numbers = ", ".join(str(param.id) for param in params)
    found: dict[int, int] = {}
    for start in range(0, len(hashes), CHUNK):
        part = hashes[start : start + CHUNK]
        sql = (
            "SELECT d.rid, d.rank FROM idx_reference d CROSS JOIN resource r WHERE r.rid = d.rid AND r.deleted = 0 "
            f"AND d.param IN ({numbers}) AND d.value IN ({', '.join('?' * len(part))}) AND ({row_filter.sql.replace('{r}', 'r')}) LIMIT ?"
        )
        rows = session.all(sql, (*part, *row_filter.params, MAX_LINKS + 1))
        found.update((int(rid), int(rank)) for rid, rank in rows)
        if len(rows) > MAX_LINKS or len(found) > MAX_SOURCES:
            raise Invalid(f"More than {MAX_SOURCES} resources refer to this page; ask for a smaller _count.", code="too-costly")
    rids = sorted(found, key=lambda rid: (found[rid], rid))
    rows_ = by_rids(session, rids)
    return [rows_[rid] for rid in rids if rid in rows_]
